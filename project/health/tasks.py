"""The smallest task: proof that the clock, the broker and a worker work together."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel

from project.names import TaskName
from project.tasks import task


class PingResult(BaseModel):
    """What a ping returns."""

    result: Literal["pong"] = "pong"


@task(TaskName.PING, max_retries=0, time_limit=timedelta(seconds=30), expires=timedelta(minutes=5))
def ping() -> PingResult:
    """Answer."""
    return PingResult()

"""The drill's task."""

import os
import time
from datetime import timedelta
from uuid import uuid4

from dramatiq.threading import Interrupt

from project.drill import executions
from project.tasks import current_run, task
from project.tasks.running.database import insist

#: A queue of its own, so that no other worker takes its runs and its workers take no others.
QUEUE = "drill"


@task(
    "drill.execute",
    queue=QUEUE,
    max_retries=50,
    min_backoff=timedelta(milliseconds=100),
    max_backoff=timedelta(seconds=1),
)
def execute(*, milliseconds: int) -> None:
    """Write down that it began, take a while, write down that it ended."""
    run = current_run()
    if run is None:
        raise RuntimeError("The drill's task runs in a worker only.")
    execution = uuid4()
    insist(lambda: executions.begin(execution, run_id=run.run_id, pid=os.getpid()))
    try:
        time.sleep(milliseconds / 1000)
    except Interrupt:
        insist(lambda: executions.end(execution, outcome="interrupted"))
        raise
    insist(lambda: executions.end(execution, outcome="done"))


def _refuse() -> str:
    raise RuntimeError("This task can never be sent.")


@task("drill.refuse", queue=QUEUE, unique=_refuse)
def refuse() -> None:
    """Do nothing: it cannot be sent."""

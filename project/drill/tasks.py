"""The drill's tasks."""

import asyncio
import os
import time
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from dramatiq.threading import Interrupt

from project.drill import executions
from project.tasks import current_run, task
from project.tasks.running.database import insist

#: A queue of its own, so that no other worker takes its runs and its workers take no others.
QUEUE = "drill"


_OFTEN: Final[dict[str, Any]] = {
    "queue": QUEUE,
    "max_retries": 50,
    "min_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=1),
}


@task("drill.execute", **_OFTEN)
def execute(*, milliseconds: int) -> None:
    """Write down that it began, take a while, write down that it ended."""
    _execute("drill.execute", milliseconds)


@task("drill.rated", rate_limit="25/second", **_OFTEN)
def rated(*, milliseconds: int) -> None:
    """Do the same, as often as a rate limit allows."""
    _execute("drill.rated", milliseconds)


@task("drill.keyed", max_concurrency=2, concurrency_key=lambda key: key, **_OFTEN)
def keyed(*, milliseconds: int, key: str) -> None:
    """Do the same, in two places at once for each key."""
    _execute("drill.keyed", milliseconds, key=key)


@task("drill.awaited", **_OFTEN)
async def awaited(*, milliseconds: int) -> None:
    """Do the same on the event loop, beside many others."""
    execution = await asyncio.to_thread(_begin, "drill.awaited")
    try:
        await asyncio.sleep(milliseconds / 1000)
    except Interrupt:
        await asyncio.to_thread(_end, execution, "interrupted")
        raise
    await asyncio.to_thread(_end, execution, "done")


#: The names of what a drill sends.
SENT: Final = tuple(task.actor_name for task in (execute, rated, keyed, awaited))
#: The tasks whose limits are judged.
LIMITED: Final = {task.actor_name: task.policy for task in (rated, keyed)}


def _execute(name: str, milliseconds: int, *, key: str = "") -> None:
    execution = _begin(name, key=key)
    try:
        time.sleep(milliseconds / 1000)
    except Interrupt:
        _end(execution, "interrupted")
        raise
    _end(execution, "done")


def _begin(name: str, *, key: str = "") -> UUID:
    started = time.monotonic()
    run = current_run()
    if run is None:
        raise RuntimeError("The drill's tasks run in a worker only.")
    execution = uuid4()
    insist(lambda: executions.begin(execution, run_id=run.run_id, pid=os.getpid(), task=name, key=key, started=started))
    return execution


def _end(execution: UUID, outcome: str) -> None:
    insist(lambda: executions.end(execution, outcome=outcome))


def _refuse() -> str:
    raise RuntimeError("This task can never be sent.")


@task("drill.refuse", queue=QUEUE, unique=_refuse)
def refuse() -> None:
    """Do nothing: it cannot be sent."""

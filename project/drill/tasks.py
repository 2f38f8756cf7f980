"""The drill's tasks."""

import os
import time
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

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


#: The names of what a drill sends.
SENT: Final = tuple(task.actor_name for task in (execute, rated, keyed))
#: The tasks whose limits are judged.
LIMITED: Final = {task.actor_name: task.policy for task in (rated, keyed)}


def _execute(name: str, milliseconds: int, *, key: str = "") -> None:
    started = time.monotonic()
    run = current_run()
    if run is None:
        raise RuntimeError("The drill's tasks run in a worker only.")
    execution = uuid4()
    insist(lambda: executions.begin(execution, run_id=run.run_id, pid=os.getpid(), task=name, key=key, started=started))
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

"""This service's durable lane: each send is a row, each run claims it and records its outcome."""

import time
from datetime import timedelta

from django.db import connection

from project.tasks.models import TaskRun
from tests.benchmarks.ours import tasks
from tests.benchmarks.systems import ours
from tests.benchmarks.systems.ours import CHUNK, make_tables, prepare

__all__ = ["fill_with", "make_tables", "pending", "prepare", "send", "send_many", "send_stamp"]
LATER = timedelta(hours=1)


def send(data: str) -> None:
    tasks.durable.send(data=data)


def send_many(count: int, data: str) -> None:
    for start in range(0, count, CHUNK):
        tasks.durable.send_many([tasks.durable.call(data=data) for _ in range(min(CHUNK, count - start))])


def send_stamp() -> None:
    tasks.durable_stamp.send(sent=time.time())


def pending() -> int:
    """Count messages; once there is none, rows without an outcome."""
    return ours.pending() or TaskRun.objects.filter(state__in=TaskRun.UNFINISHED).count()


def fill_with(kind: str, *, count: int, busy: int) -> None:
    """Let runs wait that nobody may or can start, and have the database tidy up after them.

    Args:
        kind: What waits, and for what.
        count: How many.
        busy: How many threads there are to keep busy.
    """
    if kind == "durable_behind_busy_threads":
        tasks.hold.send_many([tasks.hold.call() for _ in range(busy)])
        send_many(count, "")
    elif kind != "nothing":
        task = tasks.durable if kind == "durable_delayed" else tasks.noop
        for start in range(0, count, CHUNK):
            calls = [task.call(data="") for _ in range(min(CHUNK, count - start))]
            task.using(delay=LATER).send_many(calls)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")

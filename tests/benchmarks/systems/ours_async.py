"""This service's durable lane with `async` tasks, of which many run on a process's event loop."""

import time

from tests.benchmarks.ours import tasks
from tests.benchmarks.systems.ours import CHUNK, make_tables, prepare
from tests.benchmarks.systems.ours_rows import pending

__all__ = ["make_tables", "pending", "prepare", "send", "send_many", "send_naps", "send_stamp"]


def send(data: str) -> None:
    tasks.durable_async.send(data=data)


def send_many(count: int, data: str) -> None:
    task = tasks.durable_async
    for start in range(0, count, CHUNK):
        task.send_many([task.call(data=data) for _ in range(min(CHUNK, count - start))])


def send_naps(count: int) -> None:
    tasks.nap.send_many([tasks.nap.call() for _ in range(count)])


def send_stamp() -> None:
    tasks.durable_async_stamp.send(sent=time.time())

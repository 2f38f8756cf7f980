"""This service's durable lane: each send is a row, each run claims it and records its outcome."""

import time

from tests.benchmarks.ours import tasks
from tests.benchmarks.systems.ours import CHUNK, make_tables, pending, prepare

__all__ = ["make_tables", "pending", "prepare", "send", "send_many", "send_stamp"]


def send(data: str) -> None:
    tasks.durable.send(data=data)


def send_many(count: int, data: str) -> None:
    for start in range(0, count, CHUNK):
        tasks.durable.send_many([tasks.durable.call(data=data) for _ in range(min(CHUNK, count - start))])


def send_stamp() -> None:
    tasks.durable_stamp.send(sent=time.time())

"""Huey on Redis. A worker takes a task off the list before it runs it, so a killed worker loses it."""

import time

from huey import RedisHuey

from tests.benchmarks.systems import stamps

huey = RedisHuey("bench", url=stamps.URL, results=False)


@huey.task()
def noop(data: str) -> None:
    pass


stamp = huey.task(name="stamp")(stamps.stamp)


def send(data: str) -> None:
    noop(data)


def send_many(count: int, data: str) -> None:
    for _ in range(count):
        noop(data)


def send_stamp() -> None:
    stamp(time.time())


def pending() -> int:
    return int(huey.pending_count())

"""Dramatiq as it comes, on its own Redis broker."""

import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.systems import stamps

broker = RedisBroker(url=stamps.URL)
dramatiq.set_broker(broker)
stamp = dramatiq.actor(stamps.stamp)


@dramatiq.actor
def noop(data: str) -> None:
    pass


def send(data: str) -> None:
    noop.send(data)


def send_many(count: int, data: str) -> None:
    for _ in range(count):
        noop.send(data)


def send_stamp() -> None:
    stamp.send(time.time())


def pending() -> int:
    return int(broker.client.hlen("dramatiq:default.msgs"))

"""Taskiq on a Redis stream, which acknowledges."""

import asyncio
import time

from taskiq_redis import RedisStreamBroker

from tests.benchmarks.systems import stamps

broker = RedisStreamBroker(url=stamps.URL)
loop = asyncio.new_event_loop()


@broker.task
async def noop(data: str) -> None:
    pass


@broker.task
async def stamp(sent: float) -> None:
    stamps.stamp(sent)


def prepare() -> None:
    """Make the consumer group, which messages need before the first worker comes."""
    loop.run_until_complete(broker.startup())


async def send(data: str) -> None:
    await noop.kiq(data)


def send_many(count: int, data: str) -> None:
    async def send_all() -> None:
        for _ in range(0, count, 100):
            await asyncio.gather(*(noop.kiq(data) for _ in range(100)))

    loop.run_until_complete(send_all())


def send_stamp() -> None:
    loop.run_until_complete(stamp.kiq(time.time()))


def pending() -> int:
    group = stamps.client.xinfo_groups("taskiq")[0]
    return int(group["pending"] + (group["lag"] or 0))

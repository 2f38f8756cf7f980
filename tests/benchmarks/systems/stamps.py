"""What the measured tasks do: nothing, or say how long after its send they started, or wait for a second."""

import asyncio
import os
import time

import redis

URL = os.environ["BENCH_REDIS_URL"]
AT_ONCE = "bench:at_once"
client = redis.Redis.from_url(URL)
_napping = 0


def stamp(sent: float) -> None:
    """Record the milliseconds since the message was sent."""
    milliseconds = (time.time() - sent) * 1000
    client.rpush("bench:stamps", milliseconds)


async def nap() -> None:
    """Wait for a second, and record how many did so at once in this process."""
    global _napping  # noqa: PLW0603 - one per process is what is counted
    _napping += 1
    client.rpush(AT_ONCE, _napping)
    await asyncio.sleep(1)
    _napping -= 1

"""What the measured tasks do: nothing, or say how long after its send they started."""

import os
import time

import redis

URL = os.environ["BENCH_REDIS_URL"]
client = redis.Redis.from_url(URL)


def stamp(sent: float) -> None:
    """Record the milliseconds since the message was sent."""
    milliseconds = (time.time() - sent) * 1000
    client.rpush("bench:stamps", milliseconds)

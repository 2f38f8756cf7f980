"""RQ, which forks a process for each job."""

import time

from rq import Queue
from rq.registry import StartedJobRegistry

from tests.benchmarks.systems import stamps

queue = Queue("default", connection=stamps.client)


def noop(data: str) -> None:
    pass


def send(data: str) -> None:
    queue.enqueue(noop, data, result_ttl=0)


def send_many(count: int, data: str) -> None:
    for start in range(0, count, 500):
        size = min(500, count - start)
        queue.enqueue_many([Queue.prepare_data(noop, (data,), result_ttl=0) for _ in range(size)])


def send_stamp() -> None:
    queue.enqueue(stamps.stamp, time.time(), result_ttl=0)


def pending() -> int:
    return int(queue.count + StartedJobRegistry(queue=queue).count)

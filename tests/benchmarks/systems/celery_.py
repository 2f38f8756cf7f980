"""Celery without results, tasks acknowledged after they ran, as a service that must not lose any runs it."""

import time

from celery import Celery

from tests.benchmarks.systems import stamps

app = Celery("bench", broker=stamps.URL)
app.conf.update(task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True)
stamp = app.task(stamps.stamp, name="stamp")


@app.task(name="noop")
def noop(data: str) -> None:
    pass


def send(data: str) -> None:
    noop.delay(data)


def send_many(count: int, data: str) -> None:
    with app.producer_or_acquire() as producer:
        for _ in range(count):
            noop.apply_async((data,), producer=producer)


def send_stamp() -> None:
    stamp.delay(time.time())


def pending() -> int:
    return int(stamps.client.llen("celery") + stamps.client.hlen("unacked"))

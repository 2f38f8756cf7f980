"""This service's fast lane: typed tasks without a row."""

import time

from django.core.management import call_command
from django.db import connection

from project.broker.service import broker
from tests.benchmarks.ours import tasks

noop, stamp = tasks.noop, tasks.stamp
CHUNK = 1000


def make_tables() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)


def prepare() -> None:
    """Forget what an earlier run left."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE tasks_taskrun CASCADE")


def send(data: str) -> None:
    noop.send(data=data)


def send_many(count: int, data: str) -> None:
    for start in range(0, count, CHUNK):
        noop.send_many([noop.call(data=data) for _ in range(min(CHUNK, count - start))])


def send_stamp() -> None:
    stamp.send(sent=time.time())


def pending() -> int:
    return int(broker().client.hlen("dramatiq:default.msgs"))

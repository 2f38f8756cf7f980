"""Oban for Python on PostgreSQL, its worker started by its own command, which it calls ready for production."""

import os
import time
from typing import Any

import uvloop
from oban import Job, Oban, worker
from oban.schema import install
from psycopg_pool import AsyncConnectionPool

from tests.benchmarks.systems import stamps

URL = os.environ["BENCH_DATABASE_URL"]
CHUNK = 1_000
WAITING = "SELECT count(*) FROM oban_jobs WHERE state IN ('available', 'executing', 'scheduled', 'retryable')"
loop = uvloop.new_event_loop()


@worker()
class Noop:
    async def process(self, job: Job) -> None:
        pass


@worker()
class Stamp:
    async def process(self, job: Job) -> None:
        stamps.stamp(job.args["sent"])


@worker()
class Nap:
    async def process(self, job: Job) -> None:
        await stamps.nap()


def _job(of: Any, **arguments: Any) -> Job:
    return of.new(arguments)


_opened: list[AsyncConnectionPool] = []


def pool() -> AsyncConnectionPool:
    """Open a pool for sending, once."""
    if not _opened:
        _opened.append(loop.run_until_complete(Oban.create_pool(URL)))
        Oban(pool=_opened[0])
    return _opened[0]


def make_tables() -> None:
    """Make the tables."""
    loop.run_until_complete(install(pool()))


async def _execute(statement: str) -> int:
    async with pool().connection() as connection:
        found = await connection.execute(statement)
        row = await found.fetchone() if found.description else None
    return int(row[0]) if row else 0


def prepare() -> None:
    """Forget what an earlier run left."""
    pool()
    loop.run_until_complete(_execute("TRUNCATE oban_jobs, oban_producers, oban_leaders"))


async def send(data: str) -> None:
    await Oban.get_instance().enqueue(_job(Noop, data=data))


def send_many(count: int, data: str) -> None:
    pool()
    for start in range(0, count, CHUNK):
        jobs = [_job(Noop, data=data) for _ in range(min(CHUNK, count - start))]
        loop.run_until_complete(Oban.get_instance().enqueue_many(jobs))


def send_naps(count: int) -> None:
    pool()
    loop.run_until_complete(Oban.get_instance().enqueue_many([_job(Nap) for _ in range(count)]))


def send_stamp() -> None:
    pool()
    loop.run_until_complete(Oban.get_instance().enqueue(_job(Stamp, sent=time.time())))


def pending() -> int:
    pool()
    waiting: int = loop.run_until_complete(_execute(WAITING))
    return waiting

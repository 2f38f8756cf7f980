"""PgQueuer on PostgreSQL, as its page on performance advises: asyncpg, one connection a worker, its autovacuum."""

import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pgqueuer
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from tests.benchmarks.systems import stamps

URL = os.environ["BENCH_DATABASE_URL"]
CHUNK = 1_000
loop = uvloop.new_event_loop()


@asynccontextmanager
async def main() -> AsyncIterator[PgQueuer]:
    """Give a worker, as ``pgq run`` wants it."""
    worker = PgQueuer(AsyncpgDriver(await asyncpg.connect(URL)))

    @worker.entrypoint("noop")
    async def noop(job: Job) -> None:
        pass

    @worker.entrypoint("stamp")
    async def stamp(job: Job) -> None:
        stamps.stamp(float(job.payload or b""))

    @worker.entrypoint("nap")
    async def nap(job: Job) -> None:
        await stamps.nap()

    yield worker


_opened: list[Queries] = []


def queries() -> Queries:
    """Connect for sending, once."""
    if not _opened:
        _opened.append(Queries(AsyncpgDriver(loop.run_until_complete(asyncpg.connect(URL)))))
    return _opened[0]


def make_tables() -> None:
    """Make the tables."""
    loop.run_until_complete(queries().install())
    loop.run_until_complete(queries().optimize_autovacuum())


def prepare() -> None:
    """Forget what an earlier run left."""
    loop.run_until_complete(queries().driver.execute("TRUNCATE pgqueuer, pgqueuer_log"))


async def send(data: str) -> None:
    await queries().enqueue("noop", data.encode())


def send_many(count: int, data: str) -> None:
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        sent = queries().enqueue(["noop"] * size, [data.encode()] * size, [0] * size)
        loop.run_until_complete(sent)


def send_naps(count: int) -> None:
    loop.run_until_complete(queries().enqueue(["nap"] * count, [b""] * count, [0] * count))


def send_stamp() -> None:
    loop.run_until_complete(queries().enqueue("stamp", str(time.time()).encode()))


def pending() -> int:
    rows = loop.run_until_complete(queries().driver.fetch("SELECT count(*) FROM pgqueuer"))
    return int(rows[0]["count"])


if __name__ == "__main__":
    # As `pgq run` does, whose own command line does not start with the newest typer.
    uvloop.run(pgqueuer.run(main, batch_size=int(sys.argv[1])))

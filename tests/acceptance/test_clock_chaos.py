"""Real schedulers that are killed, stopped and starved: every tick has exactly one run, and each run is executed once.

`CLOCK_CHAOS_SECONDS` says for how long.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from project.embedded.server import Server
from tests.acceptance.processes import Service
from tests.eventually import eventually

pytestmark = pytest.mark.long

CHAOS_SECONDS = int(os.environ.get("CLOCK_CHAOS_SECONDS", "60"))
OUTAGE_SECONDS = 5
MINUTE = timedelta(minutes=1)

Row = tuple[Any, ...]


class Books:
    """Questions to a database that may be away for a moment."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str, *parameters: Any) -> list[Row]:
        with psycopg.connect(self.url, autocommit=True) as session:
            return session.execute(query, parameters).fetchall()

    def tell(self, query: str, *parameters: Any) -> None:
        with psycopg.connect(self.url, autocommit=True) as session:
            session.execute(query, parameters)

    def count(self, query: str) -> int:
        try:
            return int(self.ask(f"SELECT count(*) FROM {query}")[0][0])
        except psycopg.OperationalError:
            return -1


class Schedulers:
    """Three schedulers; whichever is killed is started again, as a supervisor would."""

    def __init__(self, service: Service, *, count: int = 3) -> None:
        self._service = service
        self.running = [service.scheduler() for _ in range(count)]
        self.kills = 0

    def kill_one(self) -> None:
        place = self.kills % len(self.running)
        self.running[place].kill()
        self.running[place] = self._service.manage("runscheduler")
        self.kills += 1


@pytest.fixture
def books(private_postgres: Server, private_valkey: Server) -> Books:
    return Books(private_postgres.url)


@contextlib.contextmanager
def outage(server: Server) -> Iterator[None]:
    server.kill()
    yield
    server.start()
    server.wait_until_ready()


def wait_until(moment: float) -> None:
    """Wait for a moment of the chaos: here the length of an outage is what is tested."""
    time.sleep(max(0.0, moment - time.monotonic()))


def expected(first: datetime, *, until: datetime) -> Iterator[datetime]:
    """The fire times of a schedule of every minute whose first one was set by hand."""
    yield first
    fire = first.replace(second=0, microsecond=0) + MINUTE
    while fire <= until:
        yield fire
        fire += MINUTE


def test_three_schedulers_send_every_tick_once_whatever_is_killed(
    service: Service, books: Books, private_postgres: Server, private_valkey: Server
) -> None:
    service.worker(processes=1, threads=4)
    schedulers = Schedulers(service)
    books.tell(
        "INSERT INTO scheduler_schedule (name, task, cron, next_fire_at)"
        " SELECT 'chaos ' || n, 'ping', '* * * * *', clock_timestamp() + n * interval '250 ms'"
        " FROM generate_series(4, %s) AS n",
        CHAOS_SECONDS * 4,
    )
    rows = books.ask("SELECT name, next_fire_at FROM scheduler_schedule WHERE name LIKE 'chaos %%'")
    firsts: dict[str, datetime] = {name: first for name, first in rows}  # noqa: C416 - typed
    start = time.monotonic()
    broker_is_down = contextlib.ExitStack()
    for second in range(1, CHAOS_SECONDS + 1):
        wait_until(start + second)
        schedulers.kill_one()
        if second == CHAOS_SECONDS // 4:
            broker_is_down.enter_context(outage(private_valkey))
        if second == CHAOS_SECONDS // 4 + OUTAGE_SECONDS:
            broker_is_down.close()
        if second == CHAOS_SECONDS * 3 // 4:
            with outage(private_postgres):
                pass
    end = books.ask("SELECT clock_timestamp()")[0][0]

    eventually(
        lambda: books.count(f"scheduler_schedule WHERE enabled AND next_fire_at <= '{end.isoformat()}'") == 0,
        timeout=30,
    )
    eventually(
        lambda: books.count("tasks_taskrun WHERE state NOT IN ('succeeded', 'expired', 'dead')") == 0, timeout=60
    )
    _check_ledger(books, firsts, until=end)
    _check_runs(books)
    print(f"{schedulers.kills} kills; lateness: {_lateness(books)}; outcomes: {_outcomes(books)}")


def _check_ledger(books: Books, firsts: dict[str, datetime], *, until: datetime) -> None:
    for name, first in firsts.items():
        ticks = books.ask(
            "SELECT fire_time, coalesced FROM scheduler_tick WHERE name = %s AND fire_time <= %s", name, until
        )
        wanted = list(expected(first, until=until))
        assert {fire_time for fire_time, _ in ticks} <= set(wanted), name
        assert sum(1 + coalesced for _, coalesced in ticks) == len(wanted), name


def _check_runs(books: Books) -> None:
    sent = {run_id for (run_id,) in books.ask("SELECT run_id FROM scheduler_tick WHERE name LIKE 'chaos %%'")}
    runs = books.ask("SELECT id, state, attempts, failures FROM tasks_taskrun WHERE schedule LIKE 'chaos %%'")
    assert {run[0] for run in runs} == sent
    assert {run[1:] for run in runs} == {("succeeded", 1, 0)}


def _lateness(books: Books) -> Row:
    return books.ask(
        "SELECT percentile_cont(ARRAY[0.5, 0.9, 0.99, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM lateness))"
        " FROM scheduler_tick"
    )[0]


def _outcomes(books: Books) -> list[Row]:
    return books.ask("SELECT outcome, count(*), sum(coalesced) FROM scheduler_tick GROUP BY 1 ORDER BY 1")

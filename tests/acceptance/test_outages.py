"""While tables are locked or the database is away everybody is silent: nobody is presumed dead, no run is repeated."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from project.embedded.server import Server
from tests.acceptance.processes import Service
from tests.acceptance.tasks import Diary
from tests.eventually import eventually

pytestmark = pytest.mark.long

RUNS = 8
#: Longer than it takes until a silent process is presumed dead.
SECONDS = 20.0
SEND = f"from tests.acceptance import tasks; tasks.wait.send_many([tasks.wait.call(label='it')] * {RUNS})"


@pytest.fixture
def diary(service: Service, tmp_path: Path) -> Diary:
    """What the tasks in the service's processes do."""
    diary = Diary(tmp_path)
    service.environment |= diary.environment
    return diary


def lock_runs(server: Server) -> None:
    _lock(server, "tasks_taskrun")


def lock_workers(server: Server) -> None:
    _lock(server, "tasks_worker")


def stop(server: Server) -> None:
    processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    _let_pass()
    for process in processes:
        process.send_signal(signal.SIGCONT)


def be_away(server: Server) -> None:
    server.kill()
    _let_pass()
    server.start()
    server.wait_until_ready()


def _lock(server: Server, table: str) -> None:
    with psycopg.connect(server.url) as other:
        other.execute(f"LOCK TABLE {table}".encode())
        _let_pass()


def _let_pass() -> None:
    until = time.monotonic() + SECONDS
    eventually(lambda: time.monotonic() > until, timeout=2 * SECONDS, every=0.2)


@pytest.mark.parametrize("outage", [lock_runs, lock_workers, stop, be_away])
def test_no_run_is_repeated_though_everybody_was_silent(
    service: Service, private_postgres: Server, diary: Diary, outage: Callable[[Server], None]
) -> None:
    for _ in range(2):
        service.worker(processes=2, threads=2)
    service.command("shell", "--no-imports", "-c", SEND)
    eventually(lambda: len(diary.read("began")) == RUNS, timeout=30)
    workers = _rows(private_postgres, "SELECT id FROM tasks_worker")
    outage(private_postgres)
    # Whoever judges wrongly does so within this time.
    with suppress(AssertionError):
        eventually(lambda: len(diary.read("began")) > RUNS, timeout=12)
    diary.allow("it")

    done = f"SELECT count(*) FROM tasks_taskrun WHERE state = 'succeeded' HAVING count(*) = {RUNS}"
    eventually(lambda: _rows(private_postgres, done), timeout=30)
    assert len(diary.read("began")) == RUNS
    assert _rows(private_postgres, "SELECT id FROM tasks_worker") == workers
    assert _rows(private_postgres, "SELECT sum(deaths) FROM tasks_taskrun") == {(0,)}


def _rows(server: Server, sql: str) -> set[tuple[object, ...]]:
    with psycopg.connect(server.url) as own:
        return set(own.execute(sql.encode()).fetchall())

"""A crash of the database takes back claims and successes that its disk did not have: nothing runs twice for that."""

from pathlib import Path

import psycopg
import pytest

from project.embedded.server import Server
from tests.acceptance.processes import Service
from tests.acceptance.tasks import Diary
from tests.eventually import eventually

pytestmark = pytest.mark.long


@pytest.fixture
def diary(service: Service, tmp_path: Path) -> Diary:
    """What the tasks in the service's processes do."""
    diary = Diary(tmp_path)
    service.environment |= diary.environment
    return diary


RUNS = 300
SEND = (
    f"from tests.acceptance import tasks; tasks.note.send_many([tasks.note.call(label=str(n)) for n in range({RUNS})])"
)


def rows(server: Server) -> set[tuple[str, int, int]]:
    with psycopg.connect(server.url) as session:
        return set(session.execute("SELECT DISTINCT state, attempts, deaths FROM tasks_taskrun").fetchall())


@pytest.mark.parametrize("ended", [1, RUNS // 2, RUNS])
def test_nothing_runs_twice_when_the_database_crashes(
    service: Service, private_postgres: Server, diary: Diary, ended: int
) -> None:
    with psycopg.connect(private_postgres.url, autocommit=True) as session:
        # Nothing reaches the disk by itself for so long that the crash comes before.
        session.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        session.execute("SELECT pg_reload_conf()")
    service.command("shell", "--no-imports", "-c", SEND)
    service.worker(processes=2, threads=2)
    eventually(lambda: len(diary.read("noted")) >= ended, timeout=30, every=0.001)
    private_postgres.kill()
    private_postgres.start()
    private_postgres.wait_until_ready()
    eventually(lambda: rows(private_postgres) == {("succeeded", 1, 0)}, timeout=60, every=0.2)
    assert sorted(diary.read("noted"), key=int) == [str(number) for number in range(RUNS)]

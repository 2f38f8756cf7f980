"""Real processes behind PgBouncer in transaction mode."""

import urllib.request
from pathlib import Path

import pytest
from django.db import connection

from project.embedded.server import Server
from project.registry import registry
from project.tasks.models import TaskRun
from tests.acceptance.processes import Service
from tests.acceptance.tasks import Diary
from tests.acceptance.tasks import note as note_task
from tests.eventually import eventually

pytestmark = pytest.mark.long


@pytest.fixture
def behind(service: Service, pgbouncer: Server) -> Service:
    """The service's processes, which reach the test's database through PgBouncer only."""
    service.environment["DATABASE_URL"] = f"{pgbouncer.url}/{connection.settings_dict['NAME']}"
    return service


def test_workers_scheduler_and_web_work_and_repeat_nothing(behind: Service, tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    behind.environment |= diary.environment | {"DATABASE_POOLER": "transaction"}
    web = behind.web()
    behind.worker(processes=2, threads=4)
    behind.scheduler()
    registry.ping.send()
    note_task.send_many([note_task.call(label=str(number)) for number in range(300)])
    done = TaskRun.objects.filter(task="acceptance.note", state=TaskRun.State.SUCCEEDED, attempts=1)
    eventually(lambda: done.count() == 300, timeout=60)
    assert sorted(map(int, diary.read("noted"))) == list(range(300))
    eventually(lambda: TaskRun.objects.filter(task="ping", state=TaskRun.State.SUCCEEDED).exists())
    with urllib.request.urlopen(f"{web.url}/readyz", timeout=5) as response:
        assert response.status == 200


@pytest.mark.parametrize("command", ["rundramatiq", "runscheduler"])
def test_without_the_setting_no_process_starts(behind: Service, command: str) -> None:
    running = behind.manage(command)
    eventually(lambda: running.exit_code is not None, timeout=30)
    assert running.exit_code == 1
    assert "Set DATABASE_POOLER=transaction" in running.output

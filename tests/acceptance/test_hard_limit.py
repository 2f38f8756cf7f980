"""A task in a blocking call that no exception interrupts."""

from pathlib import Path

import pytest

from project.tasks.errors import TaskFailed
from project.tasks.models import TaskRun
from tests.acceptance import tasks
from tests.acceptance.processes import Service
from tests.acceptance.tasks import Diary
from tests.eventually import eventually

pytestmark = pytest.mark.long


def test_its_process_is_replaced_and_the_other_runs_there_end_first(service: Service, tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    service.environment |= diary.environment
    pool = service.worker(processes=1, threads=3)
    other = tasks.wait.send(label="other")
    stuck = tasks.stuck.send(label="stuck")
    tasks.stuck_fast.send(label="stuck too")
    pool.wait_for("run_does_not_end")
    later = tasks.note.send(label="later")
    diary.allow("other")

    assert other.result(timeout=10) == "attempt 1"
    with pytest.raises(TaskFailed, match="HardTimeLimitExceeded: It did not end at its time limit of 1 s"):
        stuck.result(timeout=15)
    assert later.result(timeout=15) == "later"
    assert len(diary.read("began")) == 3
    assert diary.processes("noted") != diary.processes("began")[:1]
    assert TaskRun.objects.filter(deaths__gt=0).count() == 0
    eventually(lambda: "process_died" in pool.output and "restart_in_seconds=0.0" in pool.output)

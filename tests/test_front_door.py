"""The front door of `project.tasks`: everything it lists is there, and nothing is loaded before it is needed."""

import subprocess
import sys
from datetime import timedelta
from importlib.util import find_spec

import pytest

from project import tasks
from project.tasks import report_progress
from project.tasks.models import TaskRun
from project.tasks.running.context import running_as
from tests.runs import a_claim


@pytest.mark.parametrize("name", dir(tasks))
def test_every_listed_name_is_what_its_module_defines(name: str) -> None:
    defined = getattr(tasks, name)
    assert defined.__name__ == name


@pytest.mark.parametrize("name", dir(tasks))
def test_no_listed_name_is_also_that_of_a_module_which_would_take_its_place(name: str) -> None:
    assert find_spec(f"project.tasks.{name}") is None


def test_a_name_that_is_not_listed_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"'project\.tasks' has no attribute 'job'"):
        _ = tasks.job  # type: ignore[attr-defined]


def test_importing_the_front_door_loads_neither_django_nor_dramatiq() -> None:
    code = "import sys, project.tasks; print(sorted({'django', 'dramatiq'} & set(sys.modules)))"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"


def test_a_task_reports_progress_without_asking_for_its_run(transactional_db: None) -> None:
    claim = a_claim()
    with running_as(claim, time_limit=timedelta(minutes=1), give_up=lambda: None):
        report_progress(0.5, "halfway")
    run = TaskRun.objects.get(id=claim.run_id)
    assert (run.progress, run.progress_note) == (0.5, "halfway")


def test_progress_that_is_reported_outside_of_a_worker_goes_nowhere(db: None) -> None:
    report_progress(0.5)
    assert not TaskRun.objects.exists()

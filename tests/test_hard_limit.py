"""What a process does before it is ended because a task in it does not end."""

from datetime import timedelta
from uuid import uuid4

import pytest

from project.tasks.models import TaskRun, Worker
from project.tasks.running.hard_limit import release_runs
from project.tasks.running.interrupts import Interrupts
from project.tasks.running.this_worker import this_worker
from tests.runs import a_run

NOW, LONG = timedelta(0), timedelta(hours=1)


def test_what_goes_on_after_its_time_limit_is_stuck() -> None:
    interrupts = Interrupts()
    with (
        interrupts.allowed("endless", time_limit=-LONG, give_up=list),
        interrupts.allowed("other", time_limit=LONG, give_up=list),
    ):
        assert [running.key for running in interrupts.stuck(after=timedelta(minutes=59))] == ["endless"]
        assert not interrupts.stuck(after=timedelta(minutes=61))
    assert not interrupts.stuck(after=NOW)


def test_the_others_are_released_without_a_death(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker.objects.create(kind="worker", hostname="host", pid=7)
    monkeypatch.setattr(this_worker, "id", worker.id)
    mine, cancelled = (
        a_run("running", worker_id=worker.id),
        a_run("running", worker_id=worker.id, cancel_requested=True),
    )
    foreign = a_run("running", worker_id=uuid4())
    release_runs()
    for run in (mine, cancelled, foreign):
        run.refresh_from_db()
    assert (mine.state, mine.deaths, mine.error_type) == (TaskRun.State.RETRYING, 0, "WorkerReplaced")
    assert (cancelled.state, foreign.state) == (TaskRun.State.CANCELLED, TaskRun.State.RUNNING)
    assert not Worker.objects.exists()

"""A death counts for the runs that had begun, and for no others."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from project.tasks.models import TaskRun, Worker
from project.tasks.running import started_runs as module
from project.tasks.running.started_runs import StartedRuns, forget, runs_begun_by
from project.tasks.upkeep.dead_workers import free_runs_of, remove_silent_workers
from tests.runs import a_run


@pytest.fixture
def started() -> Iterator[StartedRuns]:
    started = StartedRuns()
    yield started
    started.close()


def test_others_read_what_runs_now(started: StartedRuns) -> None:
    worker_id, first, second = uuid4(), uuid4(), uuid4()
    started.open(worker_id)
    with started.marked(first):
        with started.marked(second):
            assert runs_begun_by(worker_id) == {first, second}
        assert runs_begun_by(worker_id) == {first}
    assert runs_begun_by(worker_id) == set()


def test_nobody_can_tell_of_a_process_on_another_host(started: StartedRuns) -> None:
    assert runs_begun_by(uuid4()) is None
    worker_id = uuid4()
    started.open(worker_id)
    forget(worker_id)
    assert runs_begun_by(worker_id) is None


def test_a_process_that_signs_on_anew_goes_on_telling_of_its_runs(started: StartedRuns) -> None:
    before, after, run_id = uuid4(), uuid4(), uuid4()
    started.open(before)
    with started.marked(run_id):
        forget(before)
        started.open(after)
        assert runs_begun_by(after) == {run_id}
    assert runs_begun_by(after) == set()


def test_more_runs_at_once_than_it_can_name_leave_the_question_open(
    started: StartedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_id = uuid4()
    monkeypatch.setattr(module, "MOST_AT_ONCE", 2)
    started = StartedRuns()
    started.open(worker_id)
    with started.marked(uuid4()), started.marked(uuid4()):
        assert runs_begun_by(worker_id) is None
    started.close()


def test_a_file_that_cannot_be_made_keeps_nothing_from_running(
    started: StartedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_path", lambda _worker_id: Path("/proc/nowhere/file"))
    started.open(uuid4())
    with started.marked(uuid4()):
        assert runs_begun_by(uuid4()) is None


def a_dead_process(started: StartedRuns) -> Worker:
    worker = Worker.objects.create(kind="worker", hostname="gone", pid=1, beat_at="2026-01-01T00:00Z")
    started.open(worker.id)
    return worker


def deaths(worker_id: UUID) -> set[tuple[str, int, int]]:
    return set(TaskRun.objects.filter(worker_id=worker_id).values_list("state", "attempts", "deaths"))


def test_a_run_that_was_claimed_and_had_not_begun_counts_no_death(started: StartedRuns, listener: Worker) -> None:
    dead = a_dead_process(started)
    begun, unbegun = a_run("running", worker_id=dead.id, attempts=2), a_run("running", worker_id=dead.id, attempts=2)
    with started.marked(begun.id):
        assert remove_silent_workers() == 2
    assert {run.id: (run.state, run.attempts, run.deaths) for run in TaskRun.objects.all()} == {
        begun.id: ("retrying", 2, 1),
        unbegun.id: ("retrying", 1, 0),
    }
    assert [attempt.run_id for attempt in begun.failed_attempts.all()] == [begun.id]
    assert not unbegun.failed_attempts.exists()


def test_without_knowing_what_had_begun_all_count_a_death(listener: Worker) -> None:
    worker_id = uuid4()
    for _ in range(2):
        a_run("running", worker_id=worker_id)
    assert free_runs_of(worker_id) == 2
    assert deaths(worker_id) == {("retrying", 1, 1)}


def test_a_cancelled_run_that_had_not_begun_is_cancelled(started: StartedRuns, listener: Worker) -> None:
    dead = a_dead_process(started)
    a_run("running", worker_id=dead.id, cancel_requested=True)
    free_runs_of(dead.id)
    assert deaths(dead.id) == {("cancelled", 0, 0)}


@pytest.mark.django_db(transaction=True)
def test_a_dead_process_leaves_nothing_behind_though_it_ran_nothing(started: StartedRuns) -> None:
    dead = a_dead_process(started)
    assert runs_begun_by(dead.id) == set()
    free_runs_of(dead.id)
    assert runs_begun_by(dead.id) is None

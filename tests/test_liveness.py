"""Who lives and who is dead: heartbeats go on whatever is locked, and nobody is presumed dead unheard."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from project.tasks.models import TaskRun, Worker
from project.tasks.running.this_worker import this_worker
from project.tasks.upkeep.dead_workers import free_abandoned_runs, remove_silent_workers
from project.tasks.upkeep.heartbeat import Heartbeat
from tests.eventually import eventually
from tests.locks import elsewhere, in_a_thread, waiting_for_locks
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)

LONG = timedelta(seconds=20)


@pytest.fixture
def heartbeat(monkeypatch: pytest.MonkeyPatch) -> Heartbeat:
    """This process's heartbeat, which has just begun."""
    monkeypatch.setattr(this_worker, "id", this_worker.id)
    heartbeat = Heartbeat(kind=Worker.Kind.WORKER)
    heartbeat.begin()
    return heartbeat


@pytest.fixture
def other() -> Worker:
    """Another process, which has run something."""
    other = Worker.objects.create(kind="worker", hostname="other", pid=1)
    a_run("running", worker_id=other.id)
    return other


def listen(heartbeat: Heartbeat, *, since: timedelta = LONG) -> None:
    Worker.objects.filter(id=heartbeat.id).update(listening_since=timezone.now() - since)


def fall_silent(*workers: UUID) -> None:
    Worker.objects.filter(id__in=workers).update(beat_at=timezone.now() - LONG)


def beat_at(heartbeat: Heartbeat) -> datetime:
    return Worker.objects.get(id=heartbeat.id).beat_at


def test_a_process_beats_while_the_runs_are_locked(heartbeat: Heartbeat) -> None:
    def beat_twice() -> None:
        heartbeat.beat()
        heartbeat.beat()

    with elsewhere() as cursor:
        cursor.execute("LOCK TABLE tasks_taskrun")
        with in_a_thread(beat_twice) as thread:
            eventually(lambda: not thread.is_alive(), timeout=3)


def test_a_silent_process_is_removed_by_one_that_listened(heartbeat: Heartbeat, other: Worker) -> None:
    listen(heartbeat)
    fall_silent(other.id)
    assert remove_silent_workers() == 1
    assert list(Worker.objects.values_list("id", flat=True)) == [heartbeat.id]


def test_who_was_silent_too_removes_nobody(heartbeat: Heartbeat, other: Worker) -> None:
    listen(heartbeat)
    fall_silent(heartbeat.id, other.id)
    assert remove_silent_workers() == 0
    heartbeat.beat()
    assert remove_silent_workers() == 0
    assert Worker.objects.count() == 2


def test_who_has_just_begun_removes_nobody(heartbeat: Heartbeat, other: Worker) -> None:
    fall_silent(other.id)
    assert remove_silent_workers() == 0
    listen(heartbeat, since=timedelta(seconds=7))
    assert remove_silent_workers() == 1


def test_who_lost_its_row_frees_no_runs(heartbeat: Heartbeat, other: Worker) -> None:
    listen(heartbeat)
    Worker.objects.all().delete()
    assert free_abandoned_runs() == 0
    assert TaskRun.objects.get().state == TaskRun.State.RUNNING


def test_a_process_listens_anew_after_a_gap_between_its_beats(heartbeat: Heartbeat) -> None:
    listen(heartbeat)
    heartbeat.beat()
    since = Worker.objects.get().listening_since
    assert since < timezone.now() - timedelta(seconds=10)
    fall_silent(heartbeat.id)
    heartbeat.beat()
    assert Worker.objects.get().listening_since > since


def test_a_beat_that_waited_bears_the_time_at_which_it_was_stored(heartbeat: Heartbeat) -> None:
    with elsewhere() as cursor:
        cursor.execute("SELECT FROM tasks_worker FOR UPDATE")
        with in_a_thread(heartbeat.beat):
            eventually(waiting_for_locks)
            (released_at,) = cursor.execute("SELECT clock_timestamp()").fetchone() or ()
            cursor.connection.commit()
    assert beat_at(heartbeat) > released_at


def test_nobody_is_removed_after_everybody_waited_for_a_lock(heartbeat: Heartbeat, other: Worker) -> None:
    listen(heartbeat)
    with elsewhere() as cursor:
        cursor.execute("LOCK TABLE tasks_worker")
        with in_a_thread(remove_silent_workers), in_a_thread(heartbeat.beat):
            eventually(lambda: waiting_for_locks() == 2)
            # What twenty seconds would do.
            cursor.execute("UPDATE tasks_worker SET beat_at = beat_at - interval '20 s'")
            cursor.connection.commit()
    assert remove_silent_workers() == 0
    assert Worker.objects.count() == 2


def test_a_process_whose_row_is_locked_is_not_waited_for(heartbeat: Heartbeat, other: Worker) -> None:
    listen(heartbeat)
    fall_silent(other.id)
    third = Worker.objects.create(kind="worker", hostname="third", pid=1)
    fall_silent(third.id)
    with elsewhere() as cursor:
        cursor.execute("SELECT FROM tasks_worker WHERE hostname = 'third' FOR UPDATE")
        with in_a_thread(remove_silent_workers) as removal:
            eventually(lambda: not removal.is_alive())
            cursor.connection.rollback()
    assert set(Worker.objects.values_list("id", flat=True)) == {heartbeat.id, third.id}

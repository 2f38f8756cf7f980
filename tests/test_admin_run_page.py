"""What a run's page tells of its life: in order, with whole times, and where each attempt ran."""

import os
import socket
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from dramatiq.worker import Worker as DramatiqWorker

from project.desk.admin.run_page import run_context
from project.tasks.models import TaskAttempt, TaskRun, Worker
from project.tasks.repair import operations
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue
from project.tasks.upkeep.dead_workers import remove_workers
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.people import a_user, a_viewer, an_operator
from tests.runs import a_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

RUNS = "/admin/tasks/taskrun/"
GRACE = Operator("grace", "admin")
#: An id that no run has; the same in each process of a parallel test run.
NOBODYS_RUN = "05eb3675-2496-416e-8d23-2664334bbe08"
NOON = datetime.fromisoformat("2026-03-01T12:00:00Z")


def page(client: Client, run: TaskRun) -> str:
    return client.get(f"{RUNS}{run.id}/change/").content.decode()


def told(run: TaskRun, rf: Any) -> list[str]:
    request = rf.get("/")
    request.user = a_user()
    return [step.what for _, step in run_context(request, run)["steps"]]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def an_attempt(run: TaskRun, number: int, *, started: float, failed: float) -> None:
    TaskAttempt.objects.create(
        run=run, number=number, started_at=at(started), finished_at=at(failed), error_type="OSError"
    )


def test_the_end_comes_after_the_attempt_that_it_follows_from(rf: Any) -> None:
    run = a_run(created_at=at(0), published_at=at(0), started_at=at(1), finished_at=at(2))
    an_attempt(run, 1, started=1, failed=2.003)
    assert told(run, rf) == ["sent", "published", "attempt 1 started", "attempt 1 failed", "dead"]


def test_the_next_attempt_comes_after_the_death_of_the_last(rf: Any) -> None:
    run = a_run("retrying", created_at=at(0), published_at=at(0), started_at=at(1), run_after=at(5))
    an_attempt(run, 1, started=1, failed=5.1)
    assert told(run, rf) == ["sent", "published", "attempt 1 started", "attempt 1 failed", "next attempt"]


def test_a_worker_whose_clock_is_behind_does_not_start_before_the_send(rf: Any) -> None:
    run = a_run("running", attempts=2, created_at=at(0), published_at=at(0), started_at=at(-1))
    an_attempt(run, 1, started=-4, failed=-3)
    expected = ["sent", "published", "attempt 1 started", "attempt 1 failed", "attempt 2 started"]
    assert told(run, rf) == expected


def test_a_retry_stands_between_the_attempts_around_it(rf: Any) -> None:
    run = a_run(created_at=at(0), published_at=at(0), started_at=at(1), finished_at=at(2))
    an_attempt(run, 1, started=1, failed=2)
    operations.retry(run.id, by=GRACE, reason="fixed")
    run.refresh_from_db()
    now = timezone.now()
    TaskRun.objects.filter(id=run.id).update(state="succeeded", attempts=2, started_at=now, finished_at=now)
    run.refresh_from_db()
    assert told(run, rf) == [
        "sent", "attempt 1 started", "attempt 1 failed", "retry", "published", "attempt 2 started", "succeeded",
    ]  # fmt: skip


def test_who_cancels_and_who_discards_comes_before_and_after_the_end(rf: Any) -> None:
    cancelled, discarded = a_run("queued", created_at=at(0)), a_run(created_at=at(0))
    operations.cancel(cancelled.id, by=GRACE)
    operations.discard(discarded.id, by=GRACE)
    for run in (cancelled, discarded):
        run.refresh_from_db()
    assert told(cancelled, rf) == ["sent", "cancel", "cancelled"]
    assert told(discarded, rf) == ["sent", "dead", "discard"]


@pytest.mark.parametrize("state", ["queued", "pending", "retrying", "cancelled"])
def test_what_was_taken_does_not_grow_while_nobody_executes_the_run(state: str) -> None:
    assert TaskRun(state=state, started_at=at(0)).duration is None
    assert TaskRun(state="retrying", started_at=at(0), finished_at=at(2)).duration == timedelta(seconds=2)


def test_what_was_taken_grows_while_the_run_is_executed_and_is_never_negative() -> None:
    now = timezone.now()
    assert TaskRun(state="running", started_at=now - timedelta(seconds=9)).duration >= timedelta(seconds=9)  # type: ignore[operator]
    assert TaskRun(state="running", started_at=now + timedelta(seconds=9)).duration == timedelta(0)


@pytest.mark.django_db(transaction=True)
def test_a_failed_attempt_names_the_host_and_the_process(worker: DramatiqWorker) -> None:
    run_id = tasks.refuse.send().run_id
    eventually(lambda: TaskAttempt.objects.filter(run_id=run_id).exists())
    attempt = TaskAttempt.objects.get(run_id=run_id)
    assert attempt.worker == f"{socket.gethostname()}:{os.getpid()}"
    client = Client()
    client.force_login(a_user(is_staff=True, is_superuser=True))
    assert attempt.worker in client.get(f"/admin/tasks/taskrun/{run_id}/change/").content.decode()


def test_an_attempt_that_ended_with_its_worker_names_the_host_and_the_process() -> None:
    long_ago = timezone.now() - timedelta(minutes=1)
    dead = Worker.objects.create(kind="worker", hostname="mill", pid=77, beat_at=long_ago)
    run = a_run("running", worker_id=dead.id, started_at=long_ago)
    remove_workers([dead])
    assert run.failed_attempts.get().worker == "mill:77"


def test_the_page_of_a_dead_run_shows_its_error_every_failed_attempt_and_its_cause() -> None:
    run = a_run(user=a_user("ada"), request_id="req-1", schedule="nightly", parent_id=a_run().id)
    TaskAttempt.objects.create(run=run, number=1, error_type="OSError", error="first <b>", traceback="tb 1")
    shown = page(a_viewer(), run)
    for text in ("ValueError", "Traceback: secret", "OSError", "first &lt;b&gt;", "tb 1", "ada", "req-1", "nightly"):
        assert text in shown
    assert str(run.parent_id) in shown


def test_the_page_of_a_waiting_run_says_what_it_waits_for_and_refreshes() -> None:
    pause_queue("default", by=GRACE, reason="peer down")
    shown = page(a_viewer(), a_run("queued"))
    assert "paused by grace" in shown
    assert 'data-refresh-seconds="2"' in shown


def test_the_page_of_a_run_that_has_ended_stays_as_it_is() -> None:
    shown = page(a_viewer(), a_run("succeeded", result={"total": 2}))
    assert "&quot;total&quot;: 2" in shown
    assert "data-refresh-seconds" not in shown


def test_the_page_shows_progress_and_children() -> None:
    run = a_run("running", progress=0.42, progress_note="21 of 50", started_at=timezone.now())
    child = a_run("succeeded", parent_id=run.id)
    shown = page(a_viewer(), run)
    assert "42% 21 of 50" in shown
    assert str(child.id) in shown


def test_the_page_tells_who_did_what_to_the_run() -> None:
    run = a_run()
    an_operator().post(f"{RUNS}{run.id}/discard/", {"reason": "duplicate"})
    assert "duplicate" in page(a_viewer(), run)


def test_the_page_takes_as_many_queries_for_a_long_story_as_for_a_short_one(django_assert_num_queries: Any) -> None:
    client, short, long = a_viewer(), a_run(), a_run(user=a_user())
    for number in range(20):
        TaskAttempt.objects.create(run=long, number=number, error_type="E", worker="w")
        a_run("succeeded", parent_id=long.id)
    for run in (short, long):
        with django_assert_num_queries(8):
            page(client, run)


@pytest.mark.parametrize("run_id", ["7", NOBODYS_RUN])
def test_a_run_that_does_not_exist_has_no_page(run_id: str) -> None:
    assert a_viewer().get(f"{RUNS}{run_id}/change/").status_code == 404

"""The clocks of processes need not agree: what they compare comes from the database's."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.tasks.models import BulkRetry, PausedQueue, TaskRun, Worker
from project.tasks.repair.audit import Operator
from project.tasks.repair.bulk import start_bulk_retry
from project.tasks.repair.bulk_steps import step_bulk_retries
from project.tasks.repair.filters import RunFilter
from project.tasks.repair.operations import cancel, retry
from project.tasks.sending.outbox import relay_once
from project.tasks.upkeep.dead_workers import free_runs
from tests import tasks_for_tests as tasks
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)

GRACE = Operator("grace", "admin")
A_MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True, params=[600, -600], ids=["ahead", "behind"])
def skew(request: Any, broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """Let this process's clock be ten minutes ahead, or behind."""
    skew, right = timedelta(seconds=request.param), timezone.now
    monkeypatch.setattr(timezone, "now", lambda: right() + skew)
    return skew


def database_says() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def is_now(moment: datetime | None, *, later: timedelta = timedelta(0)) -> bool:
    return moment is not None and abs(database_says() + later - moment) < timedelta(seconds=30)


def run_of(message: Any) -> TaskRun:
    return TaskRun.objects.get(id=message.run_id)


def test_a_run_is_sent_at_the_databases_time() -> None:
    run = run_of(tasks.add.using(expires=A_MINUTE).send(1))
    assert run.state == TaskRun.State.QUEUED
    assert is_now(run.created_at)
    assert is_now(run.run_after)
    assert is_now(run.published_at)
    assert is_now(run.expires_at, later=A_MINUTE)


def test_a_delay_counts_from_the_databases_time() -> None:
    run = run_of(tasks.add.using(delay=A_MINUTE).send(1))
    assert run.state == TaskRun.State.PENDING
    assert is_now(run.run_after, later=A_MINUTE)


@pytest.mark.parametrize(("eta", "state"), [(A_MINUTE, "pending"), (-A_MINUTE, "queued")])
def test_the_database_says_whether_a_time_has_come(eta: timedelta, state: str, broker: ServiceBroker) -> None:
    run = run_of(tasks.add.using(eta=database_says() + eta).send(1))
    assert (run.state, run.published_at is not None) == (state, state == "queued")
    assert broker.holds("default", f"{run.id}:0") == (state == "queued")


def test_a_freed_run_is_relayed_at_once() -> None:
    run = a_run("running", created_at=database_says() - A_MINUTE)
    assert free_runs(TaskRun.objects.all()) == 1
    assert relay_once() == 1
    run.refresh_from_db()
    assert is_now(run.run_after)
    assert is_now(run.failed_attempts.get().finished_at)


def test_a_failed_run_is_retried_when_it_should_be(worker: DramatiqWorker) -> None:
    message = tasks.fail.send(times=1)
    assert message.result(timeout=8) == "done"
    assert is_now(run_of(message).failed_attempts.get().finished_at)


def test_a_process_lives_at_the_databases_time(worker: DramatiqWorker) -> None:
    process = Worker.objects.get()
    assert is_now(process.started_at)
    assert is_now(process.beat_at)


def test_operators_act_at_the_databases_time() -> None:
    dead, waiting = a_run(), a_run("queued")
    retry(dead.id, by=GRACE)
    cancel(waiting.id, by=GRACE)
    dead.refresh_from_db()
    waiting.refresh_from_db()
    assert is_now(dead.run_after)
    assert is_now(dead.published_at)
    assert is_now(waiting.finished_at)


def test_what_an_operator_did_is_told_with_its_time() -> None:
    assert is_now(retry(a_run().id, by=GRACE).run_after)
    assert is_now(cancel(a_run("queued").id, by=GRACE).finished_at)


def test_a_bulk_retry_takes_what_had_died_before_it_began() -> None:
    a_run(finished_at=database_says() - A_MINUTE)
    bulk = start_bulk_retry(RunFilter(), rate=1000, max_error_share=1, by=GRACE)
    assert is_now(bulk.created_at)
    BulkRetry.objects.update(stepped_at=database_says() - A_MINUTE)
    assert step_bulk_retries() == 1


def test_a_queue_is_paused_for_as_long_as_was_said() -> None:
    call_command("tasks", "pause", "default", "--for", "1m", "--reason", "x")
    assert is_now(PausedQueue.objects.get().resume_at, later=A_MINUTE)

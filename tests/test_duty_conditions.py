"""Each duty's condition and its deed agree: the condition holds if, and only if, the deed has something to do."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, models, transaction
from django.utils import timezone

from project.broker.broker import ServiceBroker
from project.tasks.models import BulkRetry, PausedQueue, TaskBatch, TaskRun, Worker
from project.tasks.running.database import MACHINERY
from project.tasks.upkeep.duties import DUTIES, what_is_due
from tests.runs import a_run, an_old_run

NOW = timezone.now()
A_MINUTE = timedelta(minutes=1)
MODELS: tuple[type[models.Model], ...] = (TaskRun, Worker, PausedQueue, TaskBatch, BulkRetry)


@dataclass(frozen=True)
class Case:
    """A duty that has something to do, and the closest to it for which it has nothing to do.

    Args:
        duty: Its name.
        due: Creates what there is to do.
        not_due: Creates the closest to it that nothing is to be done about.
        done: Whether the deed has been done.
    """

    duty: str
    due: Callable[[], object]
    not_due: Callable[[], object]
    done: Callable[[], bool]


def a_worker(*, silent_for: timedelta) -> Worker:
    return Worker.objects.create(kind="worker", hostname="other", pid=1, beat_at=timezone.now() - silent_for)


def a_bulk_retry(**columns: Any) -> BulkRetry:
    return BulkRetry.objects.create(
        filter={"state": "dead"}, rate=10, max_error_share=1, who="grace", stepped_at=NOW - A_MINUTE, **columns
    )


def a_waiting_run(*, due_in: timedelta, **columns: Any) -> TaskRun:
    return an_old_run("pending", age=2 * A_MINUTE, run_after=timezone.now() + due_in, **columns)


def ended(state: str) -> Callable[[], bool]:
    return lambda: TaskRun.objects.get().state == state


CASES = [
    Case(
        "expire runs",
        due=lambda: a_run("queued", expires_at=NOW - A_MINUTE),
        not_due=lambda: [
            a_run("queued", expires_at=NOW + 60 * A_MINUTE),
            a_run("succeeded", expires_at=NOW - A_MINUTE),
        ],
        done=ended("expired"),
    ),
    Case(
        "resume queues",
        due=lambda: PausedQueue.objects.create(queue="mail", resume_at=NOW - A_MINUTE),
        not_due=lambda: PausedQueue.objects.create(queue="mail", resume_at=NOW + 60 * A_MINUTE),
        done=lambda: not PausedQueue.objects.exists(),
    ),
    Case(
        "settle batches",
        due=lambda: TaskBatch.objects.create(total=0),
        not_due=lambda: TaskBatch.objects.create(total=0, finished_at=NOW),
        done=lambda: TaskBatch.objects.get().finished_at is not None,
    ),
    Case(
        "retry in bulk",
        due=a_bulk_retry,
        not_due=lambda: a_bulk_retry(finished_at=NOW, outcome=BulkRetry.Outcome.DONE),
        done=lambda: BulkRetry.objects.get().outcome == BulkRetry.Outcome.DONE,
    ),
    Case(
        "remove silent workers",
        due=lambda: a_worker(silent_for=A_MINUTE),
        not_due=lambda: a_worker(silent_for=timedelta(0)),
        done=lambda: not Worker.objects.filter(hostname="other").exists(),
    ),
    Case(
        "free abandoned runs",
        due=lambda: a_run("running", worker_id=uuid4()),
        not_due=lambda: a_run("running", worker_id=a_worker(silent_for=timedelta(0)).id),
        done=ended("retrying"),
    ),
    Case(
        "relay",
        due=lambda: a_waiting_run(due_in=-A_MINUTE),
        not_due=lambda: a_waiting_run(due_in=60 * A_MINUTE),
        done=ended("queued"),
    ),
    Case(
        "fill slots",
        due=lambda: a_waiting_run(due_in=-A_MINUTE, task="tests.alone", limit_key="tests.alone"),
        not_due=lambda: a_waiting_run(due_in=60 * A_MINUTE, task="tests.alone", limit_key="tests.alone"),
        done=ended("queued"),
    ),
]
each_duty = pytest.mark.parametrize("case", CASES, ids=[case.duty for case in CASES])


@pytest.fixture(autouse=True)
def _ready(transactional_db: None, broker: ServiceBroker, listener: Worker) -> None:
    """Let this process do what only one may do that has listened to the others for long enough."""


def deed_of(case: Case) -> Callable[[], object]:
    (duty,) = [duty for duty in DUTIES if duty.name == case.duty]
    return duty.do


def due() -> list[str]:
    return [duty.name for duty in what_is_due()[0]]


def everything() -> list[dict[str, Any]]:
    return [row for model in MODELS for row in model._default_manager.order_by("pk").values()]


def test_each_duty_has_a_case() -> None:
    assert [case.duty for case in CASES] == [duty.name for duty in DUTIES]


@each_duty
def test_what_is_not_due_meets_no_condition_and_the_deed_changes_nothing(case: Case) -> None:
    case.not_due()
    before = everything()
    assert due() == []
    deed_of(case)()
    assert everything() == before


@each_duty
def test_what_is_due_meets_its_condition_only_until_the_deed_is_done(case: Case) -> None:
    case.due()
    assert due() == [case.duty]
    assert not case.done()
    deed_of(case)()
    assert case.done()
    # What was freed is now for the relay to publish.
    assert due() == (["relay"] if case.duty == "free abandoned runs" else [])


def test_nothing_is_due_in_an_empty_database() -> None:
    assert what_is_due() == ([], None)


def test_it_is_known_how_long_it_is_until_the_next_run_is_due() -> None:
    for minutes in (2, 1, 3):
        a_waiting_run(due_in=minutes * A_MINUTE)
    _, until_next = what_is_due()
    assert until_next is not None
    assert timedelta(0) < until_next <= A_MINUTE


def test_no_index_is_left_aside_because_the_question_was_first_asked_while_there_was_no_run() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE tasks_taskrun CASCADE")
        cursor.execute("ANALYZE tasks_taskrun")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(MACHINERY.to_sql(scope="LOCAL"))
        what_is_due()
        cursor.execute("SELECT name FROM pg_prepared_statements WHERE statement LIKE '%tasks_bulkretry%'")
        ((name,),) = cursor.fetchall()
        cursor.execute(f"EXPLAIN EXECUTE {name} ('10 s')")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "run_claimed" in plan
    assert "Seq Scan on tasks_taskrun" not in plan

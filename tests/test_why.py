"""`explain` names what keeps a run from running."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from dramatiq.broker import set_broker
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.desk.why import explain
from project.tasks.models import TaskRun, Worker
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue
from project.tasks.upkeep.dead_workers import HEARTBEAT_EVERY, PRESUMED_DEAD_AFTER
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.runs import a_run

pytestmark = pytest.mark.django_db

GRACE = Operator("grace", "command")


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


def codes(run: TaskRun) -> list[str]:
    run.refresh_from_db()
    return [reason.code for reason in explain(run)]


def a_worker(*, kind: str = "worker", age: timedelta = timedelta(0)) -> Worker:
    beat_at = timezone.now() - age
    return Worker.objects.create(kind=kind, hostname="host", pid=7, queues=["default"], beat_at=beat_at)


def sent(**options: timedelta) -> TaskRun:
    return TaskRun.objects.get(id=tasks.add.using(**options).send(1).run_id)  # type: ignore[arg-type]


NOW = timezone.now()
SOON, AGO = NOW + timedelta(hours=1), NOW - timedelta(hours=1)


def a_paused_run() -> TaskRun:
    pause_queue("default", by=GRACE, reason="the peer is down")
    return a_run("pending")


def a_run_paused_for_a_while() -> TaskRun:
    pause_queue("default", by=GRACE, reason="the peer is down", resume_at=SOON)
    return a_run("pending")


def a_run_without_a_slot() -> TaskRun:
    a_run("running", task="tests.alone", limit_key="tests.alone", arguments={"number": 1})
    return a_run("pending", task="tests.alone", limit_key="tests.alone")


def a_run_without_its_key() -> TaskRun:
    a_run("running", unique_key="k")
    return a_run("pending", waits_for_key="k")


def a_run_with_a_rival() -> TaskRun:
    a_run("queued", unique_key="k")
    return a_run(unique_key="k")


def a_running_run(**columns: Any) -> TaskRun:
    return a_run("running", worker_id=a_worker().id, started_at=AGO, **columns)


def a_postponed_run() -> TaskRun:
    return a_run(
        "retrying", run_after=SOON, error_type="RetryLater", error="busy", postponed_since=AGO, postponements=3
    )


#: What a run is like, the codes of its reasons in their order, and what the first one says.
WAITING: list[tuple[Callable[[], TaskRun], list[str], str]] = [
    (lambda: a_run("pending", task="tests.gone"), ["unknown_task", "not_published"], "no task named 'tests.gone'"),
    (lambda: a_run("pending", expires_at=AGO), ["expired", "not_published"], f"{AGO:%H:%M:%S} UTC"),
    (a_paused_run, ["paused"], "paused by grace until somebody resumes it: the peer is down."),
    (a_run_paused_for_a_while, ["paused"], f"until {SOON:%Y-%m-%d %H:%M:%S} UTC"),
    (lambda: a_run("queued", queue="other"), ["no_worker", "message_lost"], "No living worker consumes queue 'other'"),
    (a_run_without_a_slot, ["max_concurrency"], "1 of 'tests.alone' may run at once"),
    (a_run_without_its_key, ["unique"], "which has its unique key"),
    (lambda: a_run("pending", run_after=SOON), ["later"], f"waits until {SOON:%Y-%m-%d %H:%M:%S} UTC"),
    (lambda: a_run("retrying", run_after=SOON, error_type="OSError"), ["retry_later"], "attempt 1 failed with OSError"),
    (a_postponed_run, ["retry_later"], "put off 3 times since"),
    (
        lambda: a_run("retrying", run_after=SOON, error_type="Misfit", error="no such argument."),
        ["retry_later"],
        "attempt 1 met a worker with other code: no such argument.",
    ),
    (lambda: a_run("pending", deaths=2), ["last_chance", "not_published"], "2 workers have died while they ran it"),
    (lambda: a_run("queued"), ["message_lost"], "published again within 30 s"),
    (lambda: a_run("pending"), ["not_published"], "within a second"),
]
OTHERS: list[tuple[Callable[[], TaskRun], list[str], str]] = [
    (a_running_run, ["running"], "(attempt 1) on host:7, from queue 'default'"),
    (lambda: a_running_run(cancel_requested=True), ["running", "cancel_requested"], "on host:7"),
    (lambda: a_run("running", started_at=AGO), ["worker_died"], "another one starts it within seconds"),
    (lambda: a_run("succeeded", finished_at=AGO), ["succeeded"], f"It succeeded at {AGO:%Y-%m-%d %H:%M:%S} UTC."),
    (a_run, ["dead"], "ValueError: broken. Retry it"),
    (a_run_with_a_rival, ["dead", "unique"], "ValueError: broken. Retry it"),
    (lambda: a_run("cancelled"), ["cancelled"], "It was cancelled at"),
    (lambda: a_run("expired"), ["expired"], "It expired at"),
    (lambda: a_run("discarded", error_type="OSError"), ["discarded"], "OSError. It has been discarded since"),
]


@pytest.mark.parametrize(
    ("make", "expected", "text"), WAITING + OTHERS, ids=["+".join(expected) for _, expected, _ in WAITING + OTHERS]
)
def test_every_kind_of_run_says_how_it_stands(make: Callable[[], TaskRun], expected: list[str], text: str) -> None:
    a_worker()
    run = make()
    assert codes(run) == expected
    assert text in explain(run)[0].text


def test_every_state_in_which_a_run_has_ended_is_explained() -> None:
    assert {expected[0] for _, expected, _ in OTHERS} >= {str(state) for state in TaskRun.ENDED}


@pytest.mark.django_db(transaction=True)
def test_a_published_run_is_in_line() -> None:
    a_worker()
    assert codes(sent()) == ["in_line"]


@pytest.mark.django_db(transaction=True)
def test_a_scheduler_or_a_silent_worker_consumes_no_queue() -> None:
    a_worker(kind="scheduler")
    a_worker(age=2 * PRESUMED_DEAD_AFTER)
    assert codes(sent()) == ["no_worker"]


def test_without_any_process_nobody_publishes_it() -> None:
    run = a_run("pending")
    assert codes(run) == ["no_worker", "not_published"]
    assert "by the next worker or scheduler that starts" in explain(run)[1].text


def test_a_broker_that_is_down_is_asked_no_further(broker: ServiceBroker) -> None:
    a_worker()
    run = a_run("pending")
    set_broker(ServiceBroker(url="redis://127.0.0.1:1/0"))
    try:
        assert codes(run) == ["broker_down"]
    finally:
        set_broker(broker)


def test_what_somebody_must_act_on_comes_before_what_passes_by_itself(broker: ServiceBroker) -> None:
    pause_queue("default", by=GRACE, reason="the peer is down")
    a_run("running", unique_key="k")
    run = a_run("pending", task="tests.gone", waits_for_key="k", run_after=SOON, expires_at=AGO, deaths=2)
    set_broker(ServiceBroker(url="redis://127.0.0.1:1/0"))
    try:
        needs_somebody, passes = ["paused", "no_worker", "broker_down"], ["unique", "later", "last_chance"]
        assert codes(run) == ["unknown_task", "expired", *needs_somebody, *passes]
    finally:
        set_broker(broker)


def test_a_run_that_cannot_be_retried_names_its_rival() -> None:
    run = a_run(unique_key="k")
    rival = a_run("queued", unique_key="k")
    assert str(rival.id) in explain(run)[1].text


def test_a_real_worker_explains_itself(worker: DramatiqWorker) -> None:
    run = TaskRun.objects.get(id=tasks.wait.send().run_id)
    eventually(lambda: codes(run) == ["running"])
    tasks.gate.set()
    eventually(lambda: codes(run) == ["succeeded"])
    assert HEARTBEAT_EVERY < PRESUMED_DEAD_AFTER


def test_what_has_ended_without_a_unique_key_looks_for_no_rival(
    django_assert_num_queries: Callable[[int], AbstractContextManager[object]],
) -> None:
    run = a_run()
    with django_assert_num_queries(0):
        assert [reason.code for reason in explain(run)] == ["dead"]


def test_what_has_ended_finds_its_rival_by_the_key() -> None:
    run = a_run(unique_key="k")
    with CaptureQueriesContext(connection) as queries:
        explain(run)
    (query,) = queries.captured_queries
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # as if the table were large
        cursor.execute(f"EXPLAIN {query['sql']}")
        assert "run_unique_while_unfinished" in "\n".join(line for (line,) in cursor.fetchall())

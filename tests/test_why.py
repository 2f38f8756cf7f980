"""`explain` names what keeps a run from running."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

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
from project.tasks.upkeep.dead_workers import BEAT_EVERY, DEAD_AFTER
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


@pytest.mark.django_db(transaction=True)
def test_a_published_run_is_in_line() -> None:
    a_worker()
    assert codes(sent()) == ["in_line"]


@pytest.mark.django_db(transaction=True)
def test_no_worker_consumes_its_queue() -> None:
    a_worker(kind="scheduler")
    a_worker(age=2 * DEAD_AFTER)
    run = sent()
    assert codes(run) == ["no_worker"]
    assert "No living worker consumes queue 'default'" in explain(run)[0].text


def test_it_waits_until_a_time() -> None:
    a_worker()
    run = sent(delay=timedelta(hours=1))
    assert codes(run) == ["later"]
    assert f"{run.run_after:%H:%M:%S} UTC" in explain(run)[0].text


def test_it_waits_for_its_next_attempt() -> None:
    a_worker()
    run = a_run("retrying", run_after=timezone.now() + timedelta(minutes=1), error_type="OSError")
    assert codes(run) == ["retry_later"]
    assert "attempt 1 failed with OSError" in explain(run)[0].text


def test_its_queue_is_paused_by_somebody_for_a_reason() -> None:
    a_worker()
    pause_queue("default", by=GRACE, reason="the peer is down")
    run = sent()
    assert codes(run) == ["paused"]
    assert "paused by grace until somebody resumes it: the peer is down" in explain(run)[0].text


def test_it_is_not_published() -> None:
    a_worker()
    assert codes(a_run("pending")) == ["not_published"]


def test_the_broker_has_lost_its_message() -> None:
    a_worker()
    assert codes(a_run("queued")) == ["message_lost"]


def test_the_broker_is_down(broker: ServiceBroker) -> None:
    a_worker()
    run = sent()
    set_broker(ServiceBroker(url="redis://127.0.0.1:1/0"))
    try:
        assert codes(run) == ["broker_down"]
    finally:
        set_broker(broker)


def test_it_is_blocked_by_max_concurrency() -> None:
    a_worker()
    a_run("running", task="tests.alone", limit_key="tests.alone", arguments={"number": 1})
    waiting = a_run("pending", task="tests.alone", limit_key="tests.alone")
    assert codes(waiting)[0] == "max_concurrency"


def test_it_expires_or_its_task_is_gone() -> None:
    a_worker()
    run = a_run("pending", task="tests.gone", expires_at=timezone.now() - timedelta(seconds=1))
    assert codes(run)[:2] == ["unknown_task", "expired"]


def test_it_is_running_on_a_worker() -> None:
    run = a_run("running", worker_id=a_worker().id, started_at=timezone.now(), cancel_requested=True)
    assert codes(run) == ["running", "cancel_requested"]
    assert "on host:7" in explain(run)[0].text


def test_its_worker_is_gone() -> None:
    assert codes(a_run("running", started_at=timezone.now())) == ["worker_died"]


def test_it_has_ended_and_cannot_be_retried_while_another_one_has_its_key() -> None:
    run = a_run(unique_key="k")
    rival = a_run("queued", unique_key="k")
    assert codes(run) == ["dead", "unique"]
    assert "ValueError: broken" in explain(run)[0].text
    assert str(rival.id) in explain(run)[1].text


def test_a_real_worker_explains_itself(worker: DramatiqWorker) -> None:
    run = TaskRun.objects.get(id=tasks.wait.send().run_id)
    eventually(lambda: codes(run) == ["running"])
    tasks.gate.set()
    eventually(lambda: codes(run) == ["succeeded"])
    assert BEAT_EVERY < DEAD_AFTER


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

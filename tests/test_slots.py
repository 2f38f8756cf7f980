"""Runs of a task that may run only so many at once: they wait in PostgreSQL, and the next starts when one ends."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.desk.why import explain
from project.tasks import Batch
from project.tasks.models import TaskRun, Worker
from project.tasks.repair.audit import Operator
from project.tasks.repair.operations import cancel, retry
from project.tasks.repair.pauses import pause_queue, resume_queue
from project.tasks.sending import outbox
from project.tasks.sending.looks import planned_looks
from project.tasks.sending.outbox import admit, publish_on_commit
from project.tasks.upkeep.duties import Duties
from project.tasks.upkeep.reconcile import SETTLE, reconcile_in_turn
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)

GRACE = Operator("grace", "command")
KEY = "tests.alone"


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


def send(count: int, **options: object) -> list[TaskRun]:
    calls = [tasks.alone.call(number=number) for number in range(count)]
    sent = tasks.alone.using(**options).send_many(calls)  # type: ignore[arg-type]
    return [TaskRun.objects.get(id=message.run_id) for message in sent]


def state_of(run: TaskRun) -> str:
    return TaskRun.objects.get(id=run.id).state


def states(runs: list[TaskRun]) -> str:
    """Return the first letter of each run's state."""
    return "".join(state_of(run)[0] for run in runs)


def limited(state: str, **columns: object) -> TaskRun:
    run_after = columns.pop("run_after", timezone.now() - timedelta(minutes=1))
    return a_run(state, task=KEY, limit_key=KEY, arguments={"number": 0}, run_after=run_after, **columns)


def end(run: TaskRun, state: str = "succeeded") -> None:
    TaskRun.objects.filter(id=run.id).update(state=state)


@pytest.fixture
def nobody_relays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a slot has become free for be published by who frees it, or never."""
    monkeypatch.setattr(Duties, "do_what_is_due", lambda _self: None)


def test_only_as_many_are_published_as_may_run(broker: ServiceBroker) -> None:
    runs = send(5)
    assert states(runs) == "qpppp"
    Duties().do_what_is_due()
    assert states(runs) == "qpppp"
    assert broker.client.llen(f"{broker.namespace}:default") == 1


def test_the_next_starts_at_once_when_one_has_ended_and_no_other_task_waits(
    nobody_relays: None, worker: DramatiqWorker
) -> None:
    with transaction.atomic():
        messages = tasks.alone.send_many([tasks.alone.call(number=number) for number in range(10)])
        other = tasks.add.send(1)
    for message in messages:
        message.result(timeout=10)
    in_order = list(TaskRun.objects.order_by("started_at").values_list("id", flat=True))
    assert in_order.index(other.run_id) < in_order.index(messages[-1].run_id)
    assert tasks.notes == ["start", "end"] * 10


@pytest.mark.parametrize("outcome", ["retrying", "dead"])
def test_a_failure_makes_room_too(nobody_relays: None, worker: DramatiqWorker, outcome: str) -> None:
    calls = [tasks.alone_and_failing.call(is_last=outcome == "dead"), tasks.alone_and_failing.call(is_last=True)]
    first, second = tasks.alone_and_failing.send_many(calls)
    eventually(lambda: TaskRun.objects.get(id=second.run_id).state == TaskRun.State.DEAD)
    assert TaskRun.objects.get(id=first.run_id).state == outcome


def test_what_waits_is_not_written_again_and_again() -> None:
    worker = Worker.objects.create(kind="worker", hostname="host", pid=7)
    limited("running", worker_id=worker.id)
    TaskRun.objects.bulk_create(
        TaskRun(task=KEY, limit_key=KEY, queue="default", arguments={"number": 0}) for _ in range(1500)
    )
    with connection.cursor() as cursor:
        written = "SELECT max(xmin::text::bigint) FROM tasks_taskrun"
        cursor.execute(written)
        before = cursor.fetchone()
        for _ in range(3):
            Duties().do_what_is_due()
        cursor.execute(written)
        assert cursor.fetchone() == before


def test_they_start_in_the_order_of_priority_and_time() -> None:
    running = limited("running")
    now = timezone.now()
    later = limited("pending", run_after=now - timedelta(minutes=1))
    earlier = limited("retrying", run_after=now - timedelta(minutes=2))
    urgent = limited("pending", run_after=now, priority=-1)
    not_yet = limited("pending", run_after=now + timedelta(hours=1), priority=-2)
    in_order = []
    for _ in range(3):
        end(running)
        admit(KEY)
        (running,) = TaskRun.objects.filter(state=TaskRun.State.QUEUED)
        in_order.append(running)
    assert in_order == [urgent, earlier, later]
    assert state_of(not_yet) == TaskRun.State.PENDING


def test_what_has_waited_for_its_slot_overtakes_what_was_sent_after_it(broker: ServiceBroker) -> None:
    first, second = send(2)
    tasks.add.send_many([tasks.add.call(number) for number in range(3)])
    end(first)
    admit(KEY)
    queue = broker.client.lrange(f"{broker.namespace}:default", 0, -1)
    assert queue[:2] == [f"{second.id}:0".encode(), f"{first.id}:0".encode()]


def test_cancelling_the_one_that_is_published_makes_room() -> None:
    runs = send(3)
    cancel(runs[0].id, by=GRACE)
    assert states(runs) == "cqp"


def test_a_paused_queue_and_one_without_workers_hold_up_no_other_queue() -> None:
    pause_queue("default", by=GRACE, reason="the peer is down")
    paused, elsewhere = send(2), send(2, queue="nobody")
    here = send(2, queue="maintenance")
    assert states(paused) + states(elsewhere) + states(here) == "ppqpqp"
    resume_queue("default", by=GRACE)
    Duties().do_what_is_due()
    assert states(paused) == "qp"


def test_more_than_may_run_are_not_claimed_though_they_were_published(worker: DramatiqWorker) -> None:
    runs = [limited("queued", attempts=0) for _ in range(6)]
    publish_on_commit(runs)
    eventually(lambda: states(runs) == "ssssss")
    assert tasks.notes == ["start", "end"] * 6


def test_runs_that_were_sent_before_their_task_was_limited_wait_too(worker: DramatiqWorker) -> None:
    runs = [a_run("queued", task=KEY, arguments={"number": n}, attempts=0) for n in range(4)]
    publish_on_commit(runs)
    eventually(lambda: states(runs) == "ssss")
    assert tasks.notes == ["start", "end"] * 4


def test_retried_runs_wait_for_a_slot_like_sent_ones() -> None:
    runs = [a_run(task=KEY, arguments={"number": n}) for n in range(3)]
    for run in runs:
        retry(run.id, by=GRACE)
    assert states(runs) == "qpp"


def test_what_waits_for_a_slot_is_not_lost_and_says_so(broker: ServiceBroker) -> None:
    runs = send(2)
    TaskRun.objects.update(published_at=timezone.now() - 2 * SETTLE)
    reconcile_in_turn()
    assert broker.client.llen(f"{broker.namespace}:default") == 1
    (reason,) = [reason for reason in explain(runs[1]) if reason.code == "max_concurrency"]
    assert "1 of 'tests.alone' may run at once" in reason.text
    assert not any(reason.code in ("max_concurrency", "not_published") for reason in explain(runs[0]))
    assert not any(reason.code == "not_published" for reason in explain(runs[1]))


def test_a_sender_looks_at_the_keys_of_what_it_sent_for_a_bounded_time_and_others_at_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "SENDER_LOOKS_FOR", timedelta(0))
    Batch.send([tasks.alone_by_user.call(user_id) for user_id in range(3)])
    assert not TaskRun.objects.filter(state="queued").exists()
    assert sorted(planned_looks()) == [f"tests.alone_by_user:{user_id}" for user_id in range(3)]

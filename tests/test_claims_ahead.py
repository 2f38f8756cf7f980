"""Runs that are claimed together, before any thread is free for them."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from project.broker.broker import ServiceBroker
from project.broker.delivery import Delivery
from project.broker.work_queue import WorkQueue
from project.tasks.models import PausedQueue, TaskRun, Worker
from project.tasks.policy import MAX_DEATHS
from project.tasks.running import claim as claims
from project.tasks.running.claims_ahead import ClaimsAhead
from project.tasks.running.database import stopping
from project.tasks.running.execution import execute
from project.tasks.running.group_commit import group_commit
from project.tasks.running.held import held_runs, let_go
from project.tasks.running.middleware import DeadLetters, Deliveries
from project.tasks.running.this_worker import this_worker
from project.tasks.sending.outbox import message_of
from tests import tasks_for_tests as tasks
from tests.brokers import make_consumer, waiting
from tests.eventually import eventually
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)
AHEAD = ClaimsAhead()


@pytest.fixture(autouse=True)
def this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process be a worker that holds nothing."""
    monkeypatch.setattr(this_worker, "id", Worker.objects.create(kind="worker", hostname="here", pid=1).id)
    stopping.clear()
    yield
    for run_id in held_runs():
        let_go(str(run_id))
    group_commit.close()


def a_delivery(**columns: object) -> Delivery:
    return Delivery(message_of(a_run("queued", **{"attempts": 0, **columns})))


def row_of(delivery: Delivery) -> TaskRun:
    return TaskRun.objects.get(id=delivery.message_id)


def test_what_was_fetched_together_is_claimed_together() -> None:
    deliveries = [a_delivery() for _ in range(3)]
    assert AHEAD.claim(deliveries) == deliveries
    assert {row_of(each).state for each in deliveries} == {"running"}
    assert held_runs() == {each.claim.run_id for each in deliveries}


def test_what_may_not_start_is_not_handed_out() -> None:
    PausedQueue.objects.create(queue="paused")
    good, ended, paused = a_delivery(), a_delivery(), a_delivery(queue="paused")
    TaskRun.objects.filter(id=ended.message_id).update(state="cancelled")
    assert AHEAD.claim([ended, good, paused]) == [good]
    assert row_of(paused).state == "pending"
    assert held_runs() == {good.claim.run_id}


def test_a_second_message_of_a_run_that_is_held_here_is_spare() -> None:
    first = a_delivery()
    second = Delivery(message_of(row_of(first)))
    assert AHEAD.claim([first]) == [first]
    assert AHEAD.claim([second]) == []
    AHEAD.give_up([first])
    assert AHEAD.claim([second]) == [second]


@pytest.mark.parametrize(
    "columns",
    [{"task": "tests.alone"}, {"deaths": MAX_DEATHS - 1}, {"task": "tests.of_a_later_release"}],
    ids=["limited", "last chance", "unknown"],
)
def test_what_must_be_claimed_when_it_starts_is_left_to_its_thread(columns: dict[str, object]) -> None:
    delivery = a_delivery(**columns)
    assert AHEAD.claim([delivery]) == [delivery]
    assert (delivery.claim, row_of(delivery).state) == (None, "queued")


def test_a_run_that_cannot_be_claimed_is_left_to_its_thread_and_stops_no_other() -> None:
    good, bad = a_delivery(), a_delivery(attempts=2**31 - 1)
    assert AHEAD.claim([good, bad]) == [good, bad]
    assert (bad.claim, row_of(bad).state, row_of(good).state) == (None, "queued", "running")


def test_a_run_that_is_given_up_is_as_nobody_had_claimed_it() -> None:
    delivery = a_delivery()
    AHEAD.claim([delivery])
    AHEAD.give_up([delivery])
    run = row_of(delivery)
    assert (run.state, run.attempts, run.deaths, run.worker_id, run.started_at) == ("queued", 0, 0, None, None)
    assert not held_runs()
    assert AHEAD.claim([delivery]) == [delivery]


def test_a_run_that_was_cancelled_while_it_waited_is_cancelled_when_it_is_given_up() -> None:
    delivery = a_delivery()
    AHEAD.claim([delivery])
    TaskRun.objects.update(cancel_requested=True)
    AHEAD.give_up([delivery])
    assert row_of(delivery).state == "cancelled"


def test_who_gives_up_what_another_worker_has_now_changes_nothing() -> None:
    delivery = a_delivery()
    AHEAD.claim([delivery])
    other = uuid4()
    TaskRun.objects.update(worker_id=other)
    AHEAD.give_up([delivery])
    assert (row_of(delivery).state, row_of(delivery).worker_id) == ("running", other)


def test_messages_that_go_back_to_the_broker_are_given_up(
    broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker._drain, "work", WorkQueue(threads=3))
    sent = tasks.add.send_many([tasks.add.call(number) for number in range(3)])
    consumer = make_consumer(broker)
    taken = [next(consumer) for _ in sent]
    assert set(TaskRun.objects.values_list("state", flat=True)) == {"running"}
    consumer.requeue([each for each in taken if each is not None])
    assert set(TaskRun.objects.values_list("state", "attempts")) == {("queued", 0)}
    assert waiting(broker) == [f"{each.run_id}:0" for each in sent]


@pytest.mark.parametrize("hook", ["skip", "reject"])
def test_what_other_middleware_keeps_from_starting_is_given_up(hook: str, broker: ServiceBroker) -> None:
    delivery = a_delivery()
    AHEAD.claim([delivery])
    if hook == "skip":
        Deliveries().after_skip_message(broker, delivery)
    else:
        DeadLetters().after_nack(broker, delivery)
    assert row_of(delivery).state == {"skip": "queued", "reject": "dead"}[hook]


def test_a_claim_that_waited_for_long_is_confirmed_before_its_run_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    lost, kept = a_delivery(arguments={"left": 1}), a_delivery(arguments={"left": 1})
    AHEAD.claim([lost, kept])
    TaskRun.objects.filter(id=lost.message_id).update(worker_id=uuid4())
    monkeypatch.setattr(claims, "CONFIRM_AFTER", timedelta(0))
    for delivery in (lost, kept):
        execute(tasks.add.declaration, delivery)
    assert eventually(lambda: row_of(kept).state == "succeeded")
    assert row_of(lost).state == "running"

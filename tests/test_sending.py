"""The edges of sending: what is refused, what the row says, and what a commit publishes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from project.broker.broker import ServiceBroker
from project.tasks import Cause, Task
from project.tasks.models import TaskRun
from project.tasks.sending.options import Options
from project.tasks.sending.outbox import admit, relay_once
from project.tasks.sending.sending import send_runs
from project.values.ids import uuid7
from tests import tasks_for_tests as tasks
from tests.runs import a_run

GONE_USER = 2**31 - 1


@pytest.fixture
def pipelines(broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages went to the broker, each time that some did."""
    sizes: list[int] = []
    enqueue_many = broker.enqueue_many

    def count(messages: Sequence[Any]) -> Any:
        sizes.append(len(messages))
        return enqueue_many(messages)

    monkeypatch.setattr(broker, "enqueue_many", count)
    return sizes


def in_queue(broker: ServiceBroker) -> int:
    return int(broker.client.llen(f"{broker.namespace}:default"))


def test_a_run_id_for_two_calls_is_refused(db: None) -> None:
    with pytest.raises(ValueError, match="A run id names one run"):
        tasks.add.using(run_id=uuid7()).send_many([tasks.add.call(1), tasks.add.call(2)])


def test_durable_tasks_and_others_are_not_sent_together(db: None) -> None:
    with pytest.raises(ValueError, match="Send durable and other tasks apart"):
        send_runs([tasks.add.call(1), tasks.wait_for_child_fast.call()], Options())
    assert not TaskRun.objects.exists()


@pytest.mark.parametrize("task", [tasks.add, tasks.wait_for_child_fast])
def test_sending_no_calls_sends_nothing(db: None, broker: ServiceBroker, task: Task[..., Any]) -> None:
    assert task.send_many([]) == []
    assert (TaskRun.objects.count(), in_queue(broker)) == (0, 0)


def test_a_sender_who_was_deleted_keeps_no_run_from_being_sent(db: None) -> None:
    cause = Cause(source="api", user_id=GONE_USER, request_id="r-1")
    run = TaskRun.objects.get(id=tasks.add.using(cause=cause).send(1).run_id)
    assert (run.user_id, run.source, run.request_id) == (None, "api", "r-1")


def test_each_of_many_calls_keeps_what_is_its_own(db: None) -> None:
    messages = tasks.add.using(priority=3).send_many([tasks.add.call(number, right=number) for number in range(3)])
    runs = [TaskRun.objects.get(id=message.run_id) for message in messages]
    assert [run.arguments for run in runs] == [{"left": number, "right": number} for number in range(3)]
    assert {(run.priority, run.queue, run.state) for run in runs} == {(3, "default", "queued")}


@pytest.mark.parametrize(("after", "state"), [(timedelta(hours=-1), "queued"), (timedelta(hours=1), "pending")])
def test_a_time_that_has_passed_is_now(db: None, after: timedelta, state: str) -> None:
    run = TaskRun.objects.get(id=tasks.add.using(eta=timezone.now() + after).send(1).run_id)
    assert run.state == state
    assert (run.published_at is not None) == (state == "queued")


def test_a_delay_below_zero_is_none(db: None) -> None:
    run = TaskRun.objects.get(id=tasks.add.using(delay=timedelta(hours=-1)).send(1).run_id)
    assert (run.state, run.run_after) == ("queued", run.created_at)


def test_what_one_transaction_sends_is_one_pipeline(transactional_db: None, pipelines: list[int]) -> None:
    with transaction.atomic():
        for number in range(3):
            tasks.add.send(number)
    assert pipelines == [3]


def test_what_a_savepoint_took_back_is_not_published(transactional_db: None, pipelines: list[int]) -> None:
    with transaction.atomic():
        kept = tasks.add.send(1)
        with transaction.atomic():
            tasks.add.send(2)
            transaction.set_rollback(True)
    assert pipelines == [1]
    assert TaskRun.objects.get().id == kept.run_id


def test_what_is_sent_after_slots_were_filled_in_a_transaction_waits_for_a_slot_of_its_own(
    transactional_db: None, broker: ServiceBroker
) -> None:
    a_run("pending", task="tests.alone", limit_key="tests.alone", arguments={"number": 1}, attempts=0)
    with transaction.atomic():
        admit("tests.alone")
        tasks.alone.send(number=2)
    assert (in_queue(broker), TaskRun.objects.filter(state="queued").count()) == (1, 1)


def test_a_row_whose_sender_died_before_it_published_is_left_to_it_for_a_second(
    db: None, broker: ServiceBroker
) -> None:
    a_run("pending", attempts=0)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_taskrun SET run_after = created_at")
    assert relay_once() == 0
    TaskRun.objects.update(created_at=timezone.now() - timedelta(minutes=1), run_after=timezone.now())
    assert relay_once() == 1

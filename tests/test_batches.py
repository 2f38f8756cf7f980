"""Batches and chains."""

from typing import Any
from uuid import uuid4

import pytest
from dramatiq.worker import Worker

from project.tasks import Call
from project.tasks.batches import Batch
from project.tasks.chains import chain
from project.tasks.errors import TaskFailed
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.upkeep.batch_callbacks import settle_batches
from tests import tasks_for_tests as tasks
from tests.eventually import eventually


def callbacks(note: int) -> int:
    return TaskRun.objects.filter(task="tests.once", arguments={"key": note}).count()


def test_the_callback_of_a_batch_is_sent_once_when_all_members_have_succeeded(worker: Worker) -> None:
    batch = Batch.send([tasks.add.call(number) for number in range(50)], then=tasks.once.call(key=1))
    eventually(lambda: batch.progress().succeeded == 50)
    assert eventually(lambda: callbacks(1)) == 1
    assert settle_batches() == 0


def test_a_batch_with_a_failed_member_sends_the_failure_callback(worker: Worker) -> None:
    members: list[Call[Any]] = [tasks.add.call(1), tasks.refuse.call()]
    batch = Batch.send(members, then=tasks.once.call(key=1), on_failure=tasks.once.call(key=2))
    assert eventually(lambda: callbacks(2)) == 1
    assert callbacks(1) == 0
    assert (batch.progress().succeeded, batch.progress().failed) == (1, 1)


def test_a_batch_without_failure_callback_sends_the_other_one_though_a_member_failed(worker: Worker) -> None:
    Batch.send([tasks.refuse.call()], then=tasks.once.call(key=1))
    assert eventually(lambda: callbacks(1)) == 1


def test_an_empty_batch_has_ended_at_once(db: None) -> None:
    Batch.send([], then=tasks.once.call(key=1))
    assert settle_batches() == 1
    assert callbacks(1) == 1


@pytest.mark.parametrize(
    "stored", ["text", 7, [], {}, {"task": None}, {"task": "tests.once", "arguments": [1]}, {"task": "x", "queue": {}}]
)
def test_a_callback_that_nobody_can_read_ends_its_batch_with_a_dead_run(transactional_db: None, stored: Any) -> None:
    batch = TaskBatch.objects.create(total=0, then=stored)
    assert settle_batches() == 1
    batch.refresh_from_db()
    assert list(TaskRun.objects.values_list("id", "state")) == [(batch.callback_id, TaskRun.State.DEAD)]
    assert settle_batches() == 0


def test_a_callback_can_be_given_the_id_of_its_batch(db: None) -> None:
    batch_id = uuid4()
    assert Batch.send([], batch_id=batch_id).id == batch_id


def test_members_must_leave_a_row(db: None) -> None:
    with pytest.raises(ValueError, match="durable"):
        Batch.send([tasks.fast.call(note="x")])


def test_a_chain_hands_each_result_to_the_next_step(worker: Worker) -> None:
    assert chain(tasks.add.call(1), tasks.double, tasks.double).result(timeout=10) == tasks.Sum(total=8)


def test_a_chain_ends_at_a_step_that_fails(worker: Worker) -> None:
    TaskRun.objects.all().delete()
    sent = chain(tasks.lie.call(), tasks.lie)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TaskFailed, match="PermanentError"):
        sent.result(timeout=10)
    assert TaskRun.objects.count() == 1

"""One thing that cannot be done stops nothing else: not among duties, batches, steps or retries."""

from datetime import timedelta
from typing import Annotated, Any

import pytest
from django.utils import timezone
from dramatiq.worker import Worker
from pydantic import AfterValidator

from project.broker.broker import ServiceBroker
from project.tasks import task
from project.tasks.batches import Batch
from project.tasks.chains import chain
from project.tasks.models import BulkRetry, TaskBatch, TaskRun
from project.tasks.repair.bulk_steps import step_bulk_retries
from project.tasks.sending.cause import Cause, caused_by
from project.tasks.upkeep.batch_callbacks import settle_batches
from project.tasks.upkeep.duties import DUTIES, Duties
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.people import a_user
from tests.runs import a_run, an_old_run

A_MINUTE_AGO = timezone.now() - timedelta(minutes=1)


def refuse_one(value: Any) -> str:
    """Have no unique key for one value."""
    if value in (1, {"total": 1}):
        raise ZeroDivisionError("no key for 1")
    return str(value)


@task("tests.picky", unique=refuse_one)
def picky(value: int) -> int:
    """Be unique by a key that not every argument has."""
    return value


@task("tests.picky_step", unique=refuse_one)
def picky_step(value: tasks.Sum) -> tasks.Sum:
    """Be such a step of a chain."""
    return value


@task("tests.choosy")
def choosy(value: Annotated[int, AfterValidator(lambda value: 2 // (value - 1))]) -> int:
    """Take arguments whose type has a defect."""
    return value


def batch_with(callback: str, **arguments: Any) -> TaskBatch:
    """Create a batch that has ended; its callback is stored as it is."""
    then = {"task": callback, "arguments": arguments, "user_id": None, "request_id": ""}
    batch: Batch = Batch.send([])
    TaskBatch.objects.filter(id=batch.id).update(then=then)
    return TaskBatch.objects.get(id=batch.id)


def callback_of(batch: TaskBatch) -> TaskRun:
    batch.refresh_from_db()
    assert batch.finished_at is not None
    assert batch.callback_id is not None
    return TaskRun.objects.get(id=batch.callback_id)


def broken_bulk_retry() -> BulkRetry:
    return BulkRetry.objects.create(
        filter={"no": "filter"}, rate=1, max_error_share=1, who="grace", stepped_at=A_MINUTE_AGO
    )


def test_a_duty_that_fails_keeps_no_other_from_being_done(transactional_db: None, broker: ServiceBroker) -> None:
    broken_bulk_retry()
    late = a_run("pending", expires_at=A_MINUTE_AGO)
    due = an_old_run("pending", age=timedelta(minutes=1), run_after=A_MINUTE_AGO)
    Duties().do_what_is_due()
    states = dict(TaskRun.objects.values_list("id", "state"))
    assert states == {late.id: TaskRun.State.EXPIRED, due.id: TaskRun.State.QUEUED}


def test_a_failing_duty_is_named_once_with_a_cure(transactional_db: None, caplog: pytest.LogCaptureFixture) -> None:
    broken_bulk_retry()
    duties = Duties()
    for _ in range(3):
        duties.do_what_is_due()
    (line,) = [record.getMessage() for record in caplog.records if "duty_failed" in record.getMessage()]
    assert "retry in bulk" in line
    assert "cure" in line


def test_each_duty_has_a_name_of_its_own() -> None:
    assert len({duty.name for duty in DUTIES}) == len(DUTIES)


def test_a_callback_whose_key_cannot_be_made_is_a_dead_run_and_other_batches_are_settled(db: None) -> None:
    bad, good = batch_with("tests.picky", value=1), batch_with("tests.picky", value=2)
    assert settle_batches() == 2
    dead = callback_of(bad)
    assert (dead.task, dead.state, dead.arguments) == ("tests.picky", TaskRun.State.DEAD, {"value": 1})
    assert "ZeroDivisionError" in dead.error
    assert callback_of(good).state == TaskRun.State.QUEUED


def test_a_callback_that_cannot_even_be_recorded_keeps_no_other_batch_from_being_settled(db: None) -> None:
    bad, good = batch_with("tests.picky", value=1), batch_with("tests.picky", value=2)
    TaskBatch.objects.filter(id=bad.id).update(then={"no": "call"})
    settle_batches()
    assert callback_of(good).state == TaskRun.State.QUEUED


def test_the_callback_of_a_batch_whose_user_was_deleted_is_sent(transactional_db: None) -> None:
    user = a_user()
    with caused_by(Cause(source="api", user_id=user.pk, request_id="r1")):
        batch: Batch = Batch.send([], then=picky.call(2))
    user.delete()
    assert settle_batches() == 1
    run = callback_of(TaskBatch.objects.get(id=batch.id))
    assert (run.state, run.user_id, run.request_id) == (TaskRun.State.QUEUED, None, "r1")


def test_a_run_can_be_sent_for_a_user_who_was_deleted_meanwhile(transactional_db: None) -> None:
    user = a_user()
    cause = Cause(source="task", user_id=user.pk)
    picky.using(cause=cause).send_many([picky.call(2), picky.call(3)])
    assert set(TaskRun.objects.values_list("user_id", flat=True)) == {user.pk}
    user.delete()
    with caused_by(cause):
        picky.send(4)
        tasks.add.send_many([tasks.add.call(1), tasks.add.call(2)])
    assert TaskRun.objects.filter(user=None).count() == 5


def test_a_next_step_whose_key_cannot_be_made_is_a_dead_run(worker: Worker) -> None:
    sent = chain(tasks.add.call(0), picky_step, tasks.double)
    eventually(lambda: TaskRun.objects.filter(id=sent.messages[1].run_id, state=TaskRun.State.DEAD).exists())
    first = TaskRun.objects.get(id=sent.messages[0].run_id)
    assert (first.state, first.attempts) == (TaskRun.State.SUCCEEDED, 1)


def test_a_run_that_cannot_be_retried_keeps_no_other_from_being_retried(db: None, broker: ServiceBroker) -> None:
    a_run(task="tests.choosy", arguments={"value": 1})
    good = a_run(task="tests.choosy", arguments={"value": 2})
    bulk = BulkRetry.objects.create(
        filter={"state": "dead"}, rate=100, max_error_share=1, who="grace", stepped_at=A_MINUTE_AGO
    )
    assert step_bulk_retries() == 1
    good.refresh_from_db()
    bulk.refresh_from_db()
    assert (good.state, bulk.retried, bulk.refused) == (TaskRun.State.QUEUED, 1, 1)

"""A run that was sent before, found again by its id."""

from uuid import uuid4

import pytest
from django.db import transaction
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks import RunStateError, TaskCancelled, TaskFailed, UnknownRunError
from project.tasks.models import TaskRun
from tests import tasks_for_tests as tasks
from tests.eventually import eventually


def test_it_says_how_its_run_stands_and_what_it_returned(worker: Worker) -> None:
    sent = tasks.add.send(1)
    found = tasks.add.message(str(sent.run_id))
    assert found.result(timeout=10) == tasks.Sum(total=2)
    assert (found.status, found.ready, found.successful) == (TaskRun.State.SUCCEEDED, True, True)


def test_a_failed_run_is_ready_and_not_successful(worker: Worker) -> None:
    sent = tasks.refuse.send()
    found = tasks.refuse.message(sent.run_id)
    with pytest.raises(TaskFailed, match="never"):
        found.result(timeout=10)
    assert (found.status, found.ready, found.successful) == (TaskRun.State.DEAD, True, False)


def test_a_waiting_run_is_cancelled_and_never_runs(transactional_db: None, broker: ServiceBroker) -> None:
    sent = tasks.add.send(1)
    assert (sent.status, sent.ready) == (TaskRun.State.QUEUED, False)
    tasks.add.message(sent.run_id).cancel()
    assert sent.status == TaskRun.State.CANCELLED
    with pytest.raises(RunStateError, match="is cancelled: only pending"):
        sent.cancel()


def test_a_running_run_is_told_to_stop(worker: Worker) -> None:
    sent = tasks.wait.send()
    eventually(lambda: tasks.notes == ["started"])
    tasks.wait.message(sent.run_id).cancel()
    with pytest.raises(TaskFailed, match=TaskCancelled.__name__):
        sent.result(timeout=10)
    assert sent.status == TaskRun.State.CANCELLED


def test_a_run_can_be_cancelled_in_the_transaction_that_sends_it(transactional_db: None, broker: ServiceBroker) -> None:
    with transaction.atomic():
        sent = tasks.add.send(1)
        sent.cancel()
    assert sent.status == TaskRun.State.CANCELLED


def test_an_id_that_no_run_has_is_refused(db: None) -> None:
    with pytest.raises(UnknownRunError, match=r"No run of task 'tests\.add' has the id .*never sent, or was pruned"):
        tasks.add.message(uuid4())


def test_a_run_of_another_task_is_refused(db: None, broker: ServiceBroker) -> None:
    sent = tasks.echo.send(text="x")
    with pytest.raises(UnknownRunError, match=r"is one of task 'tests\.echo', not of 'tests\.add'"):
        tasks.add.message(sent.run_id)

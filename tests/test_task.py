"""A task from send to end, on a real broker, database and worker."""

import pytest
from django.db import transaction
from dramatiq.worker import Worker

from project.tasks.broker import ServiceBroker
from project.tasks.errors import ResultUnavailable, TaskArgumentError, TaskFailed
from project.tasks.models import TaskRun
from tests import tasks_for_tests as tasks
from tests.eventually import eventually


@pytest.fixture(autouse=True)
def no_attempts() -> None:
    tasks.attempts.clear()


def test_a_sent_task_runs_and_its_result_has_the_declared_type(worker: Worker) -> None:
    assert tasks.add.send(1, right=2).result(timeout=10) == tasks.Sum(total=3)


def test_a_direct_call_is_a_plain_call(db: None) -> None:
    assert tasks.add(1) == tasks.Sum(total=2)
    assert not TaskRun.objects.exists()


def test_a_task_sent_in_a_transaction_that_is_rolled_back_does_not_exist(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        message = tasks.add.send(1)
        raise ZeroDivisionError
    with pytest.raises(ResultUnavailable):
        message.result(timeout=1)


def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(db: None, broker: ServiceBroker) -> None:
    with pytest.raises(TaskArgumentError, match=r"'tests.add'.*left.*valid integer"):
        tasks.add.send("one")  # type: ignore[arg-type]
    with pytest.raises(TaskArgumentError, match="unexpected keyword"):
        tasks.add.send(1, more=2)  # type: ignore[call-arg]
    assert not TaskRun.objects.exists()


def test_a_failing_task_is_retried_and_each_failed_attempt_is_kept(worker: Worker) -> None:
    message = tasks.fail.send(times=2)
    assert message.result(timeout=20) == "done"
    run = TaskRun.objects.get(id=message.run_id)
    assert (run.attempts, run.failures) == (3, 2)
    assert [attempt.error for attempt in run.failed_attempts.all()] == ["attempt 1 failed", "attempt 2 failed"]


def test_a_task_that_uses_up_its_retries_is_dead_with_its_traceback(worker: Worker) -> None:
    message = tasks.fail.send(times=100)
    with pytest.raises(TaskFailed, match="RuntimeError: attempt 3 failed"):
        message.result(timeout=20)
    run = TaskRun.objects.get(id=message.run_id)
    assert run.state == TaskRun.State.DEAD
    assert "in fail" in run.traceback


def test_a_permanent_error_is_dead_at_once(worker: Worker) -> None:
    with pytest.raises(TaskFailed, match="never"):
        tasks.refuse.send().result(timeout=10)
    assert tasks.attempts == [1]


def test_many_sends_are_one_insert_and_all_run(worker: Worker) -> None:
    messages = tasks.add.send_many([tasks.add.call(number) for number in range(100)])
    assert [message.result(timeout=10).total for message in messages] == list(range(1, 101))


def test_waiting_inside_the_sending_transaction_says_why_it_cannot_work(worker: Worker) -> None:
    with transaction.atomic():
        message = tasks.add.send(1)
        with pytest.raises(ResultUnavailable, match="commits"):
            message.result(timeout=1)
    assert eventually(lambda: TaskRun.objects.get(id=message.run_id).state == TaskRun.State.SUCCEEDED)

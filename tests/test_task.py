"""A task from send to end, on a real broker, database and worker."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError, connections, transaction
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks import Task
from project.tasks.errors import ResultUnavailable, TaskArgumentError, TaskFailed
from project.tasks.models import TaskRun
from project.tasks.sending.cause import Cause
from tests import tasks_for_tests as tasks
from tests.eventually import eventually


def test_a_sent_task_runs_and_its_result_has_the_declared_type(worker: Worker) -> None:
    assert tasks.add.send(1, right=2).result(timeout=10) == tasks.Sum(total=3)


def test_a_direct_call_is_a_plain_call(db: None) -> None:
    assert tasks.add(1) == tasks.Sum(total=2)
    assert not TaskRun.objects.exists()


def test_a_task_sent_in_a_transaction_that_is_rolled_back_does_not_exist(worker: Worker) -> None:
    with transaction.atomic():
        message = tasks.add.send(1)
        transaction.set_rollback(True)
    with pytest.raises(ResultUnavailable):
        message.result(timeout=1)


def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(db: None, broker: ServiceBroker) -> None:
    with pytest.raises(TaskArgumentError, match=r"'tests.add'.*left.*valid integer"):
        tasks.add.send("one")  # type: ignore[arg-type]
    with pytest.raises(TaskArgumentError, match="more"):
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
    assert tasks.notes == ["attempt"]


def test_many_sends_are_one_insert_and_all_run(worker: Worker) -> None:
    messages = tasks.add.send_many([tasks.add.call(number) for number in range(100)])
    assert [message.result(timeout=10).total for message in messages] == list(range(1, 101))


def test_waiting_inside_the_sending_transaction_says_why_it_cannot_work(worker: Worker) -> None:
    with transaction.atomic():
        message = tasks.add.send(1)
        with pytest.raises(ResultUnavailable, match="commits"):
            message.result(timeout=1)
    assert eventually(lambda: TaskRun.objects.get(id=message.run_id).state == TaskRun.State.SUCCEEDED)


def test_an_async_task_runs_and_can_be_awaited(worker: Worker) -> None:
    async def send_and_wait() -> tasks.Sum:
        message = await tasks.add_async.asend(1)
        result = await message.aresult(timeout=10)
        await sync_to_async(connections.close_all)()
        return result

    assert asyncio.run(send_and_wait()) == tasks.Sum(total=2)


def test_a_task_may_say_itself_when_it_is_retried(worker: Worker) -> None:
    assert tasks.later.send().result(timeout=10) == "done"


@pytest.mark.parametrize("task", [tasks.lie, tasks.nul])
def test_a_result_that_cannot_be_kept_is_a_dead_run_and_not_a_silent_loss(worker: Worker, task: Task[[], Any]) -> None:
    with pytest.raises(TaskFailed, match="PermanentError"):
        task.send().result(timeout=10)


def test_a_task_that_uses_up_its_time_limit_can_clean_up_and_is_dead(worker: Worker) -> None:
    with pytest.raises(TaskFailed, match="TimeLimitExceeded"):
        tasks.slow.send().result(timeout=10)
    assert tasks.notes == ["cleaned up"]


def test_a_task_that_waits_for_the_database_is_stopped_by_the_database(worker: Worker) -> None:
    with pytest.raises(TaskFailed, match=r"TimeLimitExceeded|statement timeout"):
        tasks.wait_for_database.send().result(timeout=20)


def test_a_running_task_reports_its_progress_and_knows_its_remaining_time(worker: Worker) -> None:
    message = tasks.wait.send()
    progress = eventually(lambda: TaskRun.objects.get(id=message.run_id).progress)
    assert (progress, TaskRun.objects.get(id=message.run_id).progress_note) == (0.5, "half way")
    tasks.gate.set()
    assert 0 < message.result(timeout=10) < tasks.wait.policy.time_limit.total_seconds()


def test_what_a_task_sends_names_its_parent(worker: Worker) -> None:
    message = tasks.parent.using(cause=Cause(source="api", request_id="r-1")).send()
    child = TaskRun.objects.get(id=message.result(timeout=10))
    assert (child.parent_id, child.request_id, child.source) == (message.run_id, "r-1", "task")


def test_a_delayed_task_waits_for_its_time(worker: Worker) -> None:
    message = tasks.add.using(delay=timedelta(seconds=1)).send(1)
    assert message.result(timeout=10).total == 2
    run = TaskRun.objects.get(id=message.run_id)
    assert run.started_at is not None
    assert run.started_at >= run.created_at + timedelta(seconds=1)


def test_a_task_that_was_not_started_in_time_expires(worker: Worker) -> None:
    message = tasks.add.using(delay=timedelta(seconds=60), expires=timedelta(milliseconds=1)).send(1)
    with pytest.raises(TaskFailed, match="expired"):
        message.result(timeout=10)


def test_a_task_that_is_not_durable_runs_and_leaves_no_row(worker: Worker) -> None:
    tasks.fast.send(note="ran")
    assert eventually(lambda: tasks.notes == ["ran"])
    assert not TaskRun.objects.exists()


def test_one_run_id_is_sent_once(db: None, broker: ServiceBroker) -> None:
    run_id = uuid4()
    tasks.add.using(run_id=run_id).send(1)
    with pytest.raises(IntegrityError), transaction.atomic():
        tasks.add.using(run_id=run_id).send(1)


def test_results_keep_their_quotes_backslashes_and_braces(worker: Worker) -> None:
    text = '{"a": "b\\"}, \\{x}\' é\n'
    assert tasks.echo.send(text=text).result(timeout=10) == text


@pytest.mark.parametrize("task", [tasks.echo, tasks.fast])
def test_a_priority_below_zero_overtakes_what_waits_in_the_queue(
    transactional_db: None, broker: ServiceBroker, task: Task[..., Any]
) -> None:
    argument = {"text": "x"} if task is tasks.echo else {"note": "x"}
    for _ in range(3):
        task.send(**argument)
    urgent = task.using(priority=-1).send(**argument)
    first = broker.client.lindex(f"{broker.namespace}:default", 0)
    payload = broker.client.hget(f"{broker.namespace}:default.msgs", first)
    assert urgent.message_id in str(payload)

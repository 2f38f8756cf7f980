"""Waiting for a result where that could stop every worker."""

import pytest
from asgiref.sync import async_to_sync
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks import Message, ResultTimeout, Task, TaskFailed
from project.tasks.models import TaskRun
from tests import tasks_for_tests as tasks
from tests.eventually import eventually


@pytest.mark.parametrize(
    ("task", "state"), [(tasks.wait_for_child, "succeeded"), (tasks.wait_for_delayed_child_async, "pending")]
)
def test_a_task_that_would_wait_for_another_is_dead_at_once_and_told_the_cure(
    worker: Worker, task: Task[[], tasks.Sum], state: str
) -> None:
    messages = [task.send(), task.send()]  # one for each thread: their children would find none free
    for message in messages:
        with pytest.raises(TaskFailed, match=r"chain\(.*Batch"):
            message.result(timeout=8)
    sent = TaskRun.objects.filter(task="tests.add")
    eventually(lambda: [run.state for run in sent.all()] == [state] * 2)


def test_a_task_without_a_row_is_told_so_too(worker: Worker) -> None:
    tasks.wait_for_child_fast.send()
    eventually(lambda: tasks.notes)
    assert "chain(" in tasks.notes[0]


def test_a_task_may_read_the_result_of_a_run_that_has_ended(worker: Worker) -> None:
    child = tasks.add.send(1)
    child.result(timeout=10)
    assert tasks.read_finished.send(run_id=child.run_id).result(timeout=10).total == 2


async def _result_of(message: Message[tasks.Sum]) -> tasks.Sum:
    return await message.aresult(timeout=0.01)


def test_a_result_that_is_awaited_in_vain_is_a_time_out_too(transactional_db: None, broker: ServiceBroker) -> None:
    message = tasks.add.send(1)
    with pytest.raises(ResultTimeout, match=r"is still queued after 0\.01 s"):
        async_to_sync(_result_of)(message)

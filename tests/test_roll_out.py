"""Old and new code at the same time: what one does not know waits for the other."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from dramatiq import Message
from dramatiq.broker import get_broker
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.desk.why import explain
from project.tasks import Task, declaration
from project.tasks.batches import Batch
from project.tasks.errors import Misfit, TaskArgumentError
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.policy import ROLL_OUT, Policy
from project.tasks.running.outcomes import record_failure, record_success
from project.tasks.sending.outbox import publish_on_commit
from project.tasks.upkeep.batch_callbacks import settle_batches
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.runs import a_claim, a_run


@pytest.fixture
def names() -> Iterator[list[str]]:
    """Names of tasks that are declared in the course of a test."""
    names: list[str] = []
    yield names
    for name in names:
        declaration._tasks.pop(name, None)
        get_broker().actors.pop(name, None)


def deploy(name: str, names: list[str]) -> None:
    def new(*, number: int) -> int:
        return number

    names.append(name)
    Task(new, name=name, broker=get_broker(), policy=Policy())


def state(run: TaskRun) -> str:
    return str(TaskRun.objects.get(id=run.id).state)


def test_a_run_of_a_task_that_a_worker_does_not_know_waits_for_one_that_does(worker: Worker, names: list[str]) -> None:
    run = a_run("queued", task="tests.new", arguments={"number": 7}, attempts=0)
    publish_on_commit([run])
    eventually(lambda: state(run) == "retrying")
    run.refresh_from_db()
    assert (run.arguments, run.attempts, run.failures, run.postponements) == ({"number": 7}, 1, 0, 1)
    assert "tests.new" in run.failed_attempts.get().error
    assert any("with other code" in reason.text for reason in explain(run))
    deploy("tests.new", names)
    TaskRun.objects.filter(id=run.id, state="retrying").update(run_after=Now())
    eventually(lambda: state(run) == "succeeded")


def test_a_run_with_an_argument_that_a_worker_does_not_know_waits_for_one_that_does(worker: Worker) -> None:
    run = a_run("queued", arguments={"left": 1, "new": True}, attempts=0)
    publish_on_commit([run])
    eventually(lambda: state(run) == "retrying")
    run.refresh_from_db()
    assert (run.arguments, run.failures) == ({"left": 1, "new": True}, 0)
    assert "new" in run.failed_attempts.get().error


def test_a_fast_message_of_a_task_that_a_worker_does_not_know_waits_for_one_that_does(
    worker: Worker, broker: ServiceBroker
) -> None:
    message: Message[None] = Message("default", "tests.new_and_fast", (), {"note": "x"}, {})
    broker.enqueue(message)
    eventually(lambda: broker.client.zcard(f"{broker.namespace}:default.DQ.etas") == 1)


def test_it_is_waited_for_at_least_as_long_as_a_roll_out_takes(transactional_db: None) -> None:
    for postponed, expected in ((ROLL_OUT - timedelta(minutes=1), "retrying"), (2 * ROLL_OUT, "dead")):
        claim = a_claim(error_type="Misfit", postponements=20, postponed_since=Now() - postponed)
        assert record_failure(claim, Misfit("unknown"), policy=Policy(max_retries=0)) == expected


def test_a_task_that_sends_what_does_not_fit_fails_as_any_other_defect_does(transactional_db: None) -> None:
    claim = a_claim()
    with pytest.raises(TaskArgumentError, match="valid integer") as caught:
        tasks.add.signature.from_json({"left": "x"})
    assert record_failure(claim, caught.value, policy=Policy()) == "dead"


@pytest.mark.parametrize(
    ("task", "parameter", "result"), [("tests.gone", "value", {"total": 1}), ("tests.add", "left", "no number")]
)
def test_a_next_step_that_this_code_does_not_know_waits_with_everything_it_needs(
    transactional_db: None, task: str, parameter: str, result: Any
) -> None:
    steps = [{"id": str(uuid4()), "task": task, "queue": "mail", "parameter": parameter}, {"id": "1", "task": "later"}]
    claim = a_claim(next_steps=steps)
    record_success(claim, json.dumps(result), policy=Policy())
    run = TaskRun.objects.get(id=steps[0]["id"])
    assert (run.state, run.queue, run.arguments) == ("queued", "mail", {parameter: result})
    assert run.next_steps == steps[1:]


def test_a_callback_that_this_code_does_not_know_waits_with_its_arguments_and_cause(db: None) -> None:
    batch: Batch = Batch.send([])
    stored = {"task": "tests.gone", "queue": "mail", "arguments": {"x": 1}, "user_id": None, "request_id": "r-1"}
    TaskBatch.objects.filter(id=batch.id).update(then=stored)
    settle_batches()
    run = TaskRun.objects.get()
    assert (run.state, run.queue, run.arguments, run.request_id) == ("queued", "mail", {"x": 1}, "r-1")
    assert TaskBatch.objects.get(id=batch.id).callback_id == run.id


def test_a_callback_that_cannot_be_sent_at_all_is_a_dead_run_that_says_why(db: None) -> None:
    Batch.send([], then=tasks.undecided.call(1))
    settle_batches()
    run = TaskRun.objects.get()
    assert (run.state, run.error, run.arguments) == (
        "dead",
        "It could not be sent: RuntimeError: no key",
        {"number": 1},
    )

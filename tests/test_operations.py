"""Cancel, retry and discard: what each does in each state, and that none is done halfway."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.utils import timezone
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks.errors import RunStateError, TaskArgumentError, UnknownTaskError
from project.tasks.models import OperatorAction, TaskRun
from project.tasks.repair import operations
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue, resume_due_queues
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.runs import a_run

pytestmark = pytest.mark.django_db

GRACE = Operator("grace", "command")


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


def state(run: TaskRun) -> str:
    run.refresh_from_db()
    return run.state


def test_a_dead_run_runs_again_from_a_clean_slate(worker: Worker) -> None:
    run = a_run(failures=6, deaths=3, attempts=9, expires_at=timezone.now() - timedelta(hours=1))
    operations.retry(run.id, by=GRACE)
    eventually(lambda: state(run) == "succeeded")
    assert (run.failures, run.deaths, run.attempts, run.error, run.fingerprint) == (0, 0, 10, "", "")


@pytest.mark.parametrize("before", ["dead", "cancelled", "expired", "discarded"])
def test_whatever_ended_without_a_result_is_retried(before: str) -> None:
    run = a_run(before)
    operations.retry(run.id, by=GRACE)
    assert state(run) == "queued"


@pytest.mark.parametrize("before", ["succeeded", "pending", "queued", "running", "retrying"])
def test_nothing_else_is_retried(before: str) -> None:
    run = a_run(before)
    with pytest.raises(RunStateError, match=f"is {before}"):
        operations.retry(run.id, by=GRACE)
    assert not OperatorAction.objects.exists()


def test_a_retry_validates_old_and_new_arguments() -> None:
    run = a_run(arguments={"left": "x"})
    with pytest.raises(TaskArgumentError, match="left"):
        operations.retry(run.id, by=GRACE)
    with pytest.raises(TaskArgumentError, match="more"):
        operations.retry(run.id, by=GRACE, arguments={"left": 1, "more": 1})
    with pytest.raises(UnknownTaskError):
        operations.retry(a_run(task="tests.gone").id, by=GRACE)
    assert state(run) == "dead"


def test_a_run_whose_unique_key_is_taken_is_not_retried() -> None:
    run = a_run(unique_key="k")
    a_run("queued", unique_key="k")
    with pytest.raises(RunStateError, match="unique key 'k'"):
        operations.retry(run.id, by=GRACE)
    assert state(run) == "dead"


@pytest.mark.parametrize("before", ["pending", "queued", "retrying"])
def test_a_waiting_run_is_cancelled_at_once(before: str) -> None:
    run = a_run(before)
    operations.cancel(run.id, by=GRACE)
    assert state(run) == "cancelled"
    assert run.finished_at is not None


def test_a_cancelled_message_is_not_executed(worker: Worker, notes: list[str]) -> None:
    pause_queue("default", by=GRACE, reason="test")
    run = TaskRun.objects.get(id=tasks.refuse.send().run_id)
    operations.cancel(run.id, by=GRACE)
    pause_queue("default", by=GRACE, reason="test", resume_at=timezone.now())
    resume_due_queues()
    assert tasks.add.send(1).result(timeout=10).total == 2
    assert (state(run), notes) == ("cancelled", [])


def test_a_running_run_is_stopped(worker: Worker, notes: list[str]) -> None:
    run = TaskRun.objects.get(id=tasks.wait.send().run_id)
    eventually(lambda: notes == ["started"])
    assert operations.cancel(run.id, by=GRACE).cancel_requested
    eventually(lambda: state(run) == "cancelled")
    assert notes == ["started", "cancelled"]


@pytest.mark.parametrize("before", ["succeeded", "dead", "cancelled"])
def test_what_has_ended_is_not_cancelled(before: str) -> None:
    with pytest.raises(RunStateError):
        operations.cancel(a_run(before).id, by=GRACE)


def test_only_dead_runs_are_discarded() -> None:
    run = a_run()
    operations.discard(run.id, by=GRACE)
    assert state(run) == "discarded"
    with pytest.raises(RunStateError):
        operations.discard(run.id, by=GRACE)


@pytest.mark.parametrize("act", [operations.retry, operations.cancel, operations.discard])
def test_a_run_that_does_not_exist_is_named_as_such(act: Any) -> None:
    with pytest.raises(TaskRun.DoesNotExist):
        act(uuid4(), by=GRACE)


@pytest.mark.django_db(transaction=True)
def test_of_many_retries_at_once_one_is_done() -> None:
    run = a_run()

    def retry(_: int) -> bool:
        try:
            operations.retry(run.id, by=GRACE)
        except RunStateError:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(retry, range(16))) == 1
    assert OperatorAction.objects.count() == 1

"""A run whose message is rejected before its task is called: it says so, instead of waiting for ever."""

from typing import Any

import pytest
from dramatiq.broker import MessageProxy

from project.broker.broker import ServiceBroker
from project.tasks.models import TaskRun
from project.tasks.running.middleware import DeadLetters
from tests.brokers import make_message
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)


def reject(broker: ServiceBroker, run: TaskRun, error: BaseException | None = None, attempt: int | None = None) -> None:
    """Tell the middleware that the message of a run was rejected; then read the run again."""
    options: dict[str, Any] = {} if attempt is None else {"attempt": attempt}
    message = MessageProxy(make_message(**options).copy(message_id=str(run.id)))
    if error is not None:
        message.stuff_exception(error)
    DeadLetters().after_nack(broker, message)
    run.refresh_from_db()


def test_it_is_dead_and_says_why(own_broker: ServiceBroker) -> None:
    run = a_run("queued", attempts=2)
    reject(own_broker, run, ValueError("cannot be decoded"), attempt=2)
    assert (run.state, run.error_type, run.error) == (TaskRun.State.DEAD, "ValueError", "cannot be decoded")
    assert run.finished_at is not None


def test_it_is_dead_though_nobody_says_why(own_broker: ServiceBroker) -> None:
    run = a_run("retrying", attempts=2)
    reject(own_broker, run, attempt=2)
    assert (run.state, run.error) == (TaskRun.State.DEAD, "its message was rejected")


@pytest.mark.parametrize("state", ["running", "succeeded", "cancelled"])
def test_a_run_that_no_longer_waits_stays_what_it_is(own_broker: ServiceBroker, state: str) -> None:
    run = a_run(state, attempts=2)
    reject(own_broker, run, attempt=2)
    assert run.state == state


def test_the_message_of_an_attempt_that_is_over_changes_nothing(own_broker: ServiceBroker) -> None:
    run = a_run("queued", attempts=2)
    reject(own_broker, run, attempt=1)
    assert run.state == TaskRun.State.QUEUED


def test_the_message_of_an_actor_that_has_no_runs_changes_nothing(own_broker: ServiceBroker) -> None:
    run = a_run("queued", attempts=2)
    reject(own_broker, run)
    assert run.state == TaskRun.State.QUEUED

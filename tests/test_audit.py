"""The record of operator actions: complete, in the same transaction, and never changed."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from project.broker.broker import ServiceBroker
from project.tasks.models import OperatorAction, TaskRun
from project.tasks.repair import operations
from project.tasks.repair.audit import Operator, record
from project.tasks.repair.pauses import pause_queue, resume_queue
from tests.runs import a_run

pytestmark = pytest.mark.django_db

GRACE = Operator("grace", "admin")


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


def the_action() -> OperatorAction:
    return OperatorAction.objects.get()


def test_who_what_when_why_and_what_changed_is_recorded() -> None:
    run = a_run()
    operations.retry(run.id, by=GRACE, reason="typo", arguments={"left": 5})
    action = the_action()
    assert (action.who, action.source, action.action, action.reason) == ("grace", "admin", "retry", "typo")
    assert action.target == str(run.id)
    assert action.before == {"state": "dead", "arguments": {"left": 1}}
    assert action.after == {"state": "queued", "arguments": {"left": 5}}


def test_pausing_and_resuming_is_recorded() -> None:
    pause_queue("default", by=GRACE, reason="peer down")
    resume_queue("default", by=GRACE, reason="peer is back")
    resume_queue("default", by=GRACE)
    actions = OperatorAction.objects.order_by("id").values_list("action", "target", "reason")
    assert list(actions) == [("pause", "default", "peer down"), ("resume", "default", "peer is back")]


def test_an_action_that_is_rolled_back_was_never_taken() -> None:
    run = a_run()
    with transaction.atomic():
        operations.discard(run.id, by=GRACE)
        transaction.set_rollback(True)
    assert not OperatorAction.objects.exists()
    assert TaskRun.objects.get(id=run.id).state == "dead"


def change() -> Any:
    return OperatorAction.objects.update(who="nobody")


def delete() -> Any:
    return OperatorAction.objects.all().delete()


@pytest.mark.parametrize("tamper", [change, delete])
def test_the_database_refuses_to_change_the_record(tamper: Callable[[], Any]) -> None:
    record("retry", target="x", by=GRACE)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        tamper()
    assert the_action().who == "grace"


def test_what_is_too_long_is_cut_and_not_lost() -> None:
    record("retry", target="t" * 999, by=Operator("w" * 999, "api"), reason="r" * 999)
    action = the_action()
    assert (len(action.target), len(action.who), len(action.reason)) == (200, 150, 500)


def test_at_the_command_line_the_account_is_recorded() -> None:
    operator = Operator.at_the_command_line()
    assert operator.source == "command"
    assert operator.name


def test_an_account_without_a_name_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert Operator.at_the_command_line().name == "unknown"

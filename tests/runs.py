"""Rows of runs as tests need them, without anybody having executed them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import DataError
from django.utils import timezone

from project.tasks.models import TaskRun
from project.tasks.running.claim import Claim
from project.tasks.running.claim_statement import ClaimedRow, Success
from project.tasks.sending.cause import Cause
from project.values.ids import uuid7_of

_DEAD = {"error_type": "ValueError", "error": "broken", "traceback": "Traceback: secret", "fingerprint": "f1"}


def a_run(state: str = "dead", **columns: Any) -> TaskRun:
    """Create a run of the task `tests.add`, dead unless the state says otherwise."""
    ended = state not in TaskRun.UNFINISHED
    values: dict[str, Any] = {"task": "tests.add", "queue": "default", "arguments": {"left": 1}, "attempts": 1}
    values |= {"finished_at": timezone.now()} if ended else {}
    values |= _DEAD if state == "dead" else {}
    return TaskRun.objects.create(state=state, **(values | columns))


def a_claim(**columns: Any) -> Claim:
    """Create a running run, by default of `tests.add`, and return the claim under which it runs."""
    worker_id = uuid4()
    run = a_run("running", worker_id=worker_id, started_at=timezone.now(), **columns)
    return Claim(
        run_id=run.id,
        worker_id=worker_id,
        attempt=1,
        task=run.task,
        arguments=run.arguments,
        cause=Cause(),
        started_at=timezone.now().timestamp(),
        next_steps=run.next_steps,
    )


def _must_not_be_refused(error: DataError) -> None:
    raise AssertionError(error)


def a_success(
    claim: Claim | ClaimedRow, result: str = "1", *, refused: Callable[[DataError], None] = _must_not_be_refused
) -> Success:
    """Say that an attempt has succeeded; nothing is recorded yet."""
    return Success(
        run_id=claim.run_id,
        attempt=claim.attempt,
        worker_id=claim.worker_id,
        result=result,
        started_at=claim.started_at,
        finished_at=claim.started_at + 0.5,
        refused=refused,
    )


def an_old_run(state: str, *, age: timedelta, **columns: Any) -> TaskRun:
    """Create a run that was sent, and has ended, that long ago."""
    at = timezone.now() - age
    return a_run(state, id=_id(at), created_at=at, finished_at=at, **columns)


def _id(at: datetime) -> Any:
    return uuid7_of(f"run {TaskRun.objects.count()}", at=at)

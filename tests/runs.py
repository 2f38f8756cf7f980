"""Rows of runs as tests need them, without anybody having executed them."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from project.tasks.ids import uuid7_of
from project.tasks.models import TaskRun

_DEAD = {"error_type": "ValueError", "error": "broken", "traceback": "Traceback: secret", "fingerprint": "f1"}


def a_run(state: str = "dead", **columns: Any) -> TaskRun:
    """Create a run of the task `tests.add`, dead unless the state says otherwise."""
    ended = state not in TaskRun.UNFINISHED
    values: dict[str, Any] = {"task": "tests.add", "queue": "default", "arguments": {"left": 1}, "attempts": 1}
    values |= {"finished_at": timezone.now()} if ended else {}
    values |= _DEAD if state == "dead" else {}
    return TaskRun.objects.create(state=state, **(values | columns))


def an_old_run(state: str, *, age: timedelta, **columns: Any) -> TaskRun:
    """Create a run that was sent, and has ended, that long ago."""
    at = timezone.now() - age
    return a_run(state, id=_id(at), created_at=at, finished_at=at, **columns)


def _id(at: datetime) -> Any:
    return uuid7_of(f"run {TaskRun.objects.count()}", at=at)

"""How the schedules keep what they promise, each in a word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

from project.tasks.models import TaskRun
from scheduler.ledger import OVERDUE_AFTER
from scheduler.models import Schedule, Tick

#: How a run ends, or goes on, that has not done what it was sent for.
_FAILED = ("dead", "discarded", "expired", "cancelled", "retrying")


@dataclass(frozen=True, kw_only=True)
class ScheduleNow:
    """A schedule at this moment.

    Args:
        schedule: The schedule.
        word: How it stands.
        colour: The state of a run whose colour says the same.
        run_id: The run of its last tick.
        is_late: Whether it should have fired.
    """

    schedule: Schedule
    word: str
    colour: str
    run_id: UUID | None
    is_late: bool


def schedules_now() -> list[ScheduleNow]:
    """Return every schedule with its last tick and what became of that tick's run: one query."""
    latest = Tick.objects.filter(schedule=OuterRef("pk")).order_by("-fire_time")
    ticks = {f"last_{name}": Subquery(latest.values(name)[:1]) for name in ("outcome", "run_id")}
    state = TaskRun.objects.filter(id=OuterRef("last_run_id")).values("state")
    return [
        _now(schedule) for schedule in Schedule.objects.annotate(now=Now(), **ticks).annotate(run_state=Subquery(state))
    ]


def _now(schedule: Any) -> ScheduleNow:
    is_late = _is_late(schedule, now=schedule.now)
    word, colour = _word(schedule, outcome=schedule.last_outcome, run_state=schedule.run_state, is_late=is_late)
    return ScheduleNow(schedule=schedule, word=word, colour=colour, run_id=schedule.last_run_id, is_late=is_late)


def _is_late(schedule: Schedule, *, now: datetime) -> bool:
    fire = schedule.next_fire_at
    return schedule.enabled and fire is not None and now - fire > OVERDUE_AFTER


def _word(schedule: Schedule, *, outcome: str | None, run_state: str | None, is_late: bool) -> tuple[str, str]:
    """Return the worst that can be said of it, and in which colour."""
    words = (
        (not schedule.enabled, "off", ""),
        (bool(schedule.error), "broken", "dead"),
        (is_late, "overdue", "dead"),
        (schedule.next_fire_at is None, "not planned", "retrying"),
        (run_state in _FAILED, f"run {run_state}", "retrying" if run_state == "retrying" else "dead"),
        (outcome == Tick.Outcome.SKIPPED, "skipped", "retrying"),
        (outcome == Tick.Outcome.CAUGHT_UP, "caught up", "retrying"),
        (outcome == Tick.Outcome.LATE, "late", "retrying"),
        (outcome is None, "not yet fired", ""),
    )
    return next(((word, colour) for applies, word, colour in words if applies), ("on time", "succeeded"))

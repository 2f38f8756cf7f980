"""What people do to schedules: done and recorded in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import QuerySet

from project.tasks import Cause
from project.tasks.repair.audit import Operator, record
from scheduler.clock import send, set_cursors
from scheduler.models import Schedule
from scheduler.sync import record_change, reset_overrides

if TYPE_CHECKING:
    from project.tasks import Message


def create(schedule: Schedule, *, by: Operator) -> None:
    """Store a new schedule, which fires from now on."""
    with transaction.atomic():
        schedule.save()
        record("create schedule", target=schedule.name, by=by, after=schedule.recorded_values())
    set_cursors()


def change(schedule: Schedule, *, fields: list[str], by: Operator) -> None:
    """Store what was edited of a schedule, and only that: the clock may have moved the row on since it was read.

    Args:
        schedule: As it should be.
        fields: What was edited.
        by: Who edited it.
    """
    with transaction.atomic():
        before = Schedule.objects.select_for_update().get(id=schedule.id).recorded_values()
        schedule.save(update_fields=fields)
        record_change(before, schedule.recorded_values(), by=by)
    set_cursors()


def delete(schedules: QuerySet[Schedule], *, by: Operator) -> None:
    """Delete schedules; their ticks stay."""
    with transaction.atomic():
        for schedule in schedules.select_for_update(of=("self",)):
            schedule.delete()
            record("delete schedule", target=schedule.name, by=by, before=schedule.recorded_values())


def switch(schedules: QuerySet[Schedule], *, enabled: bool, by: Operator) -> list[Schedule]:
    """Let schedules fire from now on, or stop them; return those that did not do so already."""
    with transaction.atomic():
        switched = list(schedules.exclude(enabled=enabled).select_for_update(of=("self",)))
        Schedule.objects.filter(id__in=[schedule.id for schedule in switched]).update(enabled=enabled)
        for schedule in switched:
            record("enable schedule" if enabled else "disable schedule", target=schedule.name, by=by)
    set_cursors()
    return switched


def run_now(schedule: Schedule, *, cause: Cause, by: Operator) -> Message[object]:
    """Send a schedule's task now, whatever its fire times.

    Raises:
        TaskError: If there is no such task, or the arguments do not fit it.
    """
    with transaction.atomic():
        message = send(schedule, cause=cause)
        record("run schedule", target=schedule.name, by=by, after={"run_id": str(message.run_id)})
    return message


def reset(schedule: Schedule, *, by: Operator) -> list[str]:
    """Give a declared schedule back to the code; return the fields that were overridden."""
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().get(id=schedule.id)
        overridden = reset_overrides(schedule)
        if overridden:
            before = schedule.recorded_values()
            after = Schedule.objects.get(id=schedule.id).recorded_values()
            record_change(before, after, by=by, action="reset schedule")
    set_cursors()
    return overridden

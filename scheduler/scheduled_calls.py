"""What the schedules will send, for `manage.py tasks check`."""

from collections.abc import Iterator

from project.tasks.repair.stored_calls import StoredCall
from scheduler.models import Schedule


def of_schedules() -> Iterator[StoredCall]:
    """Yield the call of each enabled schedule."""
    for schedule in Schedule.objects.filter(enabled=True):
        yield StoredCall(where=f"schedule {schedule.name!r}", task=schedule.task, arguments=schedule.arguments)

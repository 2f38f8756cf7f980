"""System checks over the schedules that code declares."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, register

from project import schedules
from project.schedules import DeclaredSchedule
from scheduler.errors import ScheduleError
from scheduler.validation import check_cron, check_task


@register("scheduler")
def check_declared_schedules(**_: Any) -> list[CheckMessage]:
    """Check every schedule in `project/schedules.py`."""
    messages = [_twice(name) for name, count in Counter(s.name for s in schedules.SCHEDULES).items() if count > 1]
    return messages + [message for schedule in schedules.SCHEDULES for message in _check(schedule)]


def _twice(name: str) -> CheckMessage:
    return Error(
        f"Schedule {name!r} is declared more than once.",
        hint="Give each schedule in project/schedules.py a name of its own.",
        id="scheduler.E001",
    )


def _check(schedule: DeclaredSchedule) -> Iterator[CheckMessage]:
    values = schedule.values()
    try:
        check_cron(values["cron"], values["time_zone"])
        check_task(values["task"], schedule.arguments)
    except ScheduleError as error:
        yield Error(
            f"Schedule {schedule.name!r} cannot fire: {error}",
            hint="Correct it in project/schedules.py.",
            id="scheduler.E002",
        )

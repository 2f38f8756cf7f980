"""What makes a schedule acceptable, whoever writes it: a form, a command or code."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from project.tasks import TaskError, get_task
from scheduler.crontab import next_fire
from scheduler.errors import ScheduleError


def check_cron(cron: str, time_zone: str) -> None:
    """Make sure that cron text and zone have a next fire time.

    Raises:
        ScheduleError: With the reason.
    """
    next_fire(cron, time_zone, datetime.now(UTC))


def check_task(name: str, arguments: Mapping[str, Any]) -> None:
    """Make sure that the clock can send this task with these arguments.

    Raises:
        ScheduleError: With the reason.
    """
    try:
        task = get_task(name)
        task.check_arguments((), arguments)
    except TaskError as error:
        raise ScheduleError(str(error)) from error
    if not task.durable:
        raise ScheduleError(f"Task {name!r} keeps no row, so a tick could be lost: declare it durable.")

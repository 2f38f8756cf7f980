"""The schedules that code declares: written into the database on migrate and at every scheduler's start.

An operator may change each of them at runtime; what was changed stays until it is reset in the admin.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Literal

from django.conf import settings

from project.names import TaskName


@dataclass(frozen=True, kw_only=True)
class DeclaredSchedule:
    """A schedule as code wants it.

    Args:
        name: What it is called, for as long as it lives.
        task: The task to send.
        cron: Five fields or a macro such as ``@daily``.
        arguments: The task's arguments by name.
        time_zone: A tz database name; the service's own if empty.
        enabled: Whether it fires.
        misfire: What to do about ticks that were missed by more than a minute.
        max_lateness: Do not send a tick that is later than this; None means always send it.
    """

    name: str
    task: TaskName
    cron: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str = ""
    enabled: bool = True
    misfire: Literal["run_once", "skip"] = "run_once"
    max_lateness: timedelta | None = None

    def values(self) -> dict[str, Any]:
        """The declared fields as plain JSON."""
        values = asdict(self) | {"task": str(self.task), "time_zone": self.time_zone or settings.TIME_ZONE}
        del values["name"]
        return values | {"max_lateness": self.max_lateness.total_seconds() if self.max_lateness is not None else None}


SCHEDULES: list[DeclaredSchedule] = [
    DeclaredSchedule(name="ping", task=TaskName.PING, cron="* * * * *", max_lateness=timedelta(minutes=1)),
    DeclaredSchedule(name="todo cleanup", task=TaskName.TODO_CLEANUP, cron="0 2 * * *"),
    DeclaredSchedule(name="session cleanup", task=TaskName.CLEANUP_SESSIONS, cron="30 3 * * *"),
    DeclaredSchedule(name="login cleanup", task=TaskName.USERS_CLEAR_EXPIRED_LOGINS, cron="45 3 * * *"),
    DeclaredSchedule(
        name="weekly digest",
        task=TaskName.NOTIFICATIONS_SEND_WEEKLY_DIGEST,
        cron="0 8 * * mon",
        max_lateness=timedelta(days=2),
    ),
    DeclaredSchedule(name="prune exports", task=TaskName.REPORTS_PRUNE_EXPORTS, cron="5 * * * *"),
    DeclaredSchedule(name="prune history", task=TaskName.PRUNE, cron="15 4 * * *"),
]

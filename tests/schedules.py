"""Schedules to test the clock with."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from project.tasks.models import TaskRun
from scheduler.models import Schedule


def database_now() -> datetime:
    """What the database's clock shows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def schedule(*, due: timedelta | None = timedelta(0), **values: Any) -> Schedule:
    """A row whose next fire time was this long ago."""
    row = Schedule.objects.create(**{"name": "one", "task": "ping", "cron": "* * * * *", "time_zone": "UTC"} | values)
    if due is not None:
        Schedule.objects.filter(id=row.id).update(next_fire_at=Now() - due)
    row.refresh_from_db()
    return row


def sent() -> list[UUID]:
    """The runs that were sent, oldest first."""
    return list(TaskRun.objects.order_by("created_at").values_list("id", flat=True))

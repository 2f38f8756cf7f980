"""The one clock that all processes share."""

from __future__ import annotations

from datetime import datetime

from django.db import connection


def database_now() -> datetime:
    """Return the database's time; where a statement can take it by itself (`Now()`), that saves asking.

    Raises:
        django.db.Error: If the database does not answer.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now

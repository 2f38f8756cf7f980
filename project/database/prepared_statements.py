"""Runs the machinery's own hot statements prepared, so that the database plans each once per connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from django.conf import settings
from psycopg.pq import TransactionStatus

from project.database.access import this_connection

#: How often the driver sees a statement before it prepares it by itself: never. Django's own queries have their values
#: in the text, and preparing each would only fill the server's memory.
_PREPARE_BY_ITSELF_AFTER = 1_000_000_000


def run_prepared(sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement on this thread's connection and return its rows.

    Args:
        sql: The same text at each call.
        values: Its parameters.

    Raises:
        django.db.Error: As for any query.
    """
    connection = this_connection()
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    if not settings.DATABASE_KEEPS_SESSIONS or connection.execute_wrappers:
        return _run_unprepared(sql, values)
    raw.prepare_threshold = _PREPARE_BY_ITSELF_AFTER
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        try:
            cursor.execute(sql.encode(), values, prepare=True)
        except psycopg.errors.FeatureNotSupported:
            # A migration gave a column another type: whoever has the plan would be refused as long as it is connected.
            if raw.info.transaction_status is not TransactionStatus.IDLE:
                raise  # the transaction has failed, and its end makes the driver forget what is prepared
            raw.execute("DEALLOCATE ALL")
            cursor.execute(sql.encode(), values, prepare=True)
        return cursor.fetchall()


def array(values: Iterable[object]) -> str:
    """Write values as a PostgreSQL array; psycopg takes ten times as long for a list."""
    quoted = (str(value).replace("\\", r"\\").replace('"', r"\"") for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def _run_unprepared(sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement where sessions change, so that nothing can be prepared, or where somebody wraps statements."""
    with this_connection().cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

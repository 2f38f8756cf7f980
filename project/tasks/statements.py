"""Runs the machinery's own hot statements prepared, so that the database plans each once per connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from django.db import connection

_ready: WeakSet[psycopg.Connection[Any]] = WeakSet()
_bounds: WeakKeyDictionary[psycopg.Connection[Any], timedelta] = WeakKeyDictionary()
#: Django's own queries carry their values in the text; preparing those would only fill the server's memory.
_NEVER_BY_ITSELF = 1_000_000_000
#: What PostgreSQL counts milliseconds with, and so the longest time a statement can be given.
_MOST_MILLISECONDS = 2**31 - 1


def run_prepared(sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement on this thread's connection and return its rows.

    Args:
        sql: The same text at each call.
        values: Its parameters.

    Raises:
        django.db.Error: As for any query.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(_ready_connection()) as cursor:
        cursor.execute(sql.encode(), values, prepare=True)
        return cursor.fetchall()


def array(values: Iterable[object]) -> str:
    """Write values as a PostgreSQL array; psycopg takes ten times as long for a list."""
    quoted = (str(value).replace("\\", r"\\").replace('"', r"\"") for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def bound_statements(limit: timedelta) -> None:
    """Have the database end any statement of this thread's connection after this long, or after 24 days.

    Raises:
        django.db.Error: As for any query.
    """
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    if _bounds.get(raw) != limit:
        with connection.wrap_database_errors:
            milliseconds = min(int(limit.total_seconds() * 1000), _MOST_MILLISECONDS)
            raw.execute(f"SET statement_timeout = {milliseconds}".encode())
        _bounds[raw] = limit


def _ready_connection() -> psycopg.Connection[Any]:
    raw: psycopg.Connection[Any] = connection.connection
    if raw not in _ready:
        raw.prepare_threshold = _NEVER_BY_ITSELF
        # Otherwise PostgreSQL plans anew for each length of the arrays, which costs more than running it.
        raw.execute("SET plan_cache_mode = force_generic_plan")
        _ready.add(raw)
    return raw

"""New runs, and how many of them are inserted with one statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection


@dataclass(kw_only=True, slots=True)
class NewRun:
    """What a send decides about a run; every other column has a default in the database.

    Not a `TaskRun`, because making a model instance takes longer than everything else about a row.
    """

    id: UUID
    task: str
    queue: str
    priority: int
    arguments: dict[str, Any]
    state: str
    created_at: datetime
    run_after: datetime
    expires_at: datetime | None
    published_at: datetime | None
    source: str
    user_id: int | None
    request_id: str
    schedule: str
    parent_id: UUID | None
    unique_key: str | None
    batch_id: UUID | None = None
    next_steps: Sequence[dict[str, Any]] = ()

    @property
    def attempts(self) -> int:
        """No worker has claimed it yet."""
        return 0

    @property
    def deaths(self) -> int:
        """No worker has died of it yet."""
        return 0


_TYPES = {
    "int": "int",
    "str": "text",
    "str | None": "text",
    "UUID": "uuid",
    "UUID | None": "uuid",
    "int | None": "bigint",
    "datetime": "timestamptz",
    "datetime | None": "timestamptz",
    "dict[str, Any]": "jsonb",
    "Sequence[dict[str, Any]]": "jsonb",
}
_COLUMNS = {column.name: _TYPES[str(column.type)] for column in fields(NewRun)}
#: A second unfinished run of one key is not inserted; every other conflict is an error.
_OR_KEEP = (
    " ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL"
    " AND state IN ('pending', 'queued', 'running', 'retrying') DO NOTHING RETURNING id"
)


def insert_runs(runs: Sequence[NewRun]) -> None:
    """Insert new runs with one statement.

    Raises:
        IntegrityError: If one of the ids exists.
    """
    if runs:
        sql, values = _insert(runs)
        with connection.cursor() as cursor:
            cursor.execute(sql, values)


def insert_unless_unfinished(run: NewRun) -> bool:
    """Insert a run unless an unfinished one has its unique key; tell whether it was inserted.

    Waits for a transaction that is just inserting the same key.
    """
    sql, values = _insert([run])
    with connection.cursor() as cursor:
        cursor.execute(sql + _OR_KEEP, values)
        return cursor.fetchone() is not None


def _insert(runs: Sequence[NewRun]) -> tuple[str, list[Any]]:
    """Build the statement: a column that is the same in all rows is sent once, the others as arrays."""
    columns = {name: _values(runs, name) for name in _COLUMNS}
    varying = [name for name, values in columns.items() if values.count(values[0]) < len(values)]
    selected = ", ".join(name if name in varying else f"%s::{type_}" for name, type_ in _COLUMNS.items())
    arrays = ", ".join(f"%s::{_COLUMNS[name]}[]" for name in varying)
    rows = f" FROM unnest({arrays}) AS new ({', '.join(varying)})" if varying else ""
    sql = f"INSERT INTO tasks_taskrun ({', '.join(_COLUMNS)}) SELECT {selected}{rows}"
    constants = [values[0] for name, values in columns.items() if name not in varying]
    return sql, constants + [columns[name] for name in varying]


def _values(runs: Sequence[NewRun], name: str) -> list[Any]:
    values = [getattr(run, name) for run in runs]
    return [json.dumps(value) for value in values] if _COLUMNS[name] == "jsonb" else values

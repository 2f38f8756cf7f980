"""New runs, and how many of them are inserted with one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from dramatiq import Message
from pydantic_core import to_json

from project.database.bound_statements import run_bound
from project.database.prepared_statements import array

#: As what a value is sent to the database.
_BIGINT, _INT, _TEXT, _UUID = {"sql": "bigint"}, {"sql": "int"}, {"sql": "text"}, {"sql": "uuid"}
_INTERVAL, _TIME, _JSONB = {"sql": "interval"}, {"sql": "timestamptz"}, {"sql": "jsonb"}


@dataclass(kw_only=True, slots=True)
class NewRun:
    """What a send decides about a run; every other column has a default in the database.

    Not a `TaskRun`, because making a model instance takes longer than everything else about a row. Its times are
    set by the database, on its own clock: the clocks of two processes need not agree.

    Args:
        state: Queued if it is due and waits for no slot; what the database finds, if it has an `eta`.
        delay: How long after now it is due; `eta` says when instead.
        expires_in: How long after now it may still start; `expires_at` says until when instead.
        message: The message of its first attempt, if its sender has made it.
    """

    id: UUID = field(metadata=_UUID)
    task: str = field(metadata=_TEXT)
    queue: str = field(metadata=_TEXT)
    priority: int = field(metadata=_INT)
    arguments: dict[str, Any] = field(metadata=_JSONB)
    state: str = field(metadata=_TEXT)
    delay: timedelta = field(metadata=_INTERVAL)
    eta: datetime | None = field(metadata=_TIME)
    expires_in: timedelta | None = field(metadata=_INTERVAL)
    expires_at: datetime | None = field(metadata=_TIME)
    source: str = field(metadata=_TEXT)
    user_id: int | None = field(metadata=_BIGINT)
    request_id: str = field(metadata=_TEXT)
    schedule: str = field(metadata=_TEXT)
    parent_id: UUID | None = field(metadata=_UUID)
    unique_key: str | None = field(metadata=_TEXT)
    waits_for_key: str | None = field(default=None, metadata=_TEXT)
    limit_key: str = field(default="", metadata=_TEXT)
    batch_id: UUID | None = field(default=None, metadata=_UUID)
    next_steps: Sequence[dict[str, Any]] = field(default=(), metadata=_JSONB)
    message: Message[Any] | None = None

    @property
    def attempts(self) -> int:
        """No worker has claimed it yet."""
        return 0

    @property
    def deaths(self) -> int:
        """No worker has died of it yet."""
        return 0


_VALUES: Final[dict[str, str]] = {value.name: value.metadata["sql"] for value in fields(NewRun) if value.metadata}
#: What most runs have stands in the statement: each value that is sent beside it costs both sides a few microseconds.
_USUAL: Final[dict[str, tuple[Any, str]]] = {
    "priority": (0, "0"),
    "delay": (timedelta(0), "interval '0'"),
    "source": ("code", "'code'"),
    "request_id": ("", "''"),
    "schedule": ("", "''"),
    "limit_key": ("", "''"),
    "next_steps": ("[]", "'[]'"),
} | dict.fromkeys(
    ("eta", "expires_in", "expires_at", "user_id", "parent_id", "unique_key", "waits_for_key", "batch_id"),
    (None, "NULL"),
)
#: Of these no value is ever missing, so that those of many runs can be written as one text.
_NEVER_NULL: Final = frozenset({"id", "task", "queue", "arguments", "state", "next_steps"})
_NOW = "statement_timestamp()"
_DUE = f"coalesce({{eta}}, {_NOW} + {{delay}})"
#: The columns that are made of the values; the others are the values. With each go the values that decide nothing if
#: they are as usual, and what the column is then: to parse and plan the rest would take the server three times as long
#: as the INSERT itself. A run costs it 84 us of CPU this way, and 178 in a statement that has all of them.
_MADE: Final[dict[str, tuple[str, frozenset[str], str]]] = {
    "state": (
        (
            f"CASE WHEN {{eta}} IS NULL OR {{limit_key}} <> '' THEN {{state}}"
            f" WHEN {{eta}} <= {_NOW} THEN 'queued' ELSE 'pending' END"
        ),
        frozenset({"eta"}),
        "{state}",
    ),
    "created_at": (_NOW, frozenset(), _NOW),
    "run_after": (_DUE, frozenset({"eta", "delay"}), _NOW),
    "published_at": (
        f"CASE WHEN {{limit_key}} = '' AND {{waits_for_key}} IS NULL AND {_DUE} <= {_NOW} THEN {_NOW} END",
        frozenset({"limit_key", "waits_for_key", "eta", "delay"}),
        _NOW,
    ),
    "expires_at": (
        f"coalesce({{expires_at}}, {_NOW} + {{expires_in}})",
        frozenset({"expires_at", "expires_in"}),
        "NULL",
    ),
}
_PLAIN: Final = [name for name in _VALUES if name not in {"delay", "eta", "expires_in", *_MADE}]
#: A second unfinished run of one key is not inserted; every other conflict is an error.
_OR_KEEP = (
    " ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL"
    " AND state IN ('pending', 'queued', 'running', 'retrying') DO NOTHING"
)
#: How many statements are remembered: one for each choice of values that are not as usual.
_STATEMENTS_KEPT = 256


def insert_runs(runs: Sequence[NewRun]) -> None:
    """Insert new runs with one statement; those with an `eta` are told whether it has passed.

    Raises:
        IntegrityError: If one of the ids exists.
    """
    if runs:
        _execute(runs)


def insert_unless_unfinished(run: NewRun) -> bool:
    """Insert a run unless an unfinished one has its unique key; tell whether it was inserted.

    Waits for a transaction that is just inserting the same key.
    """
    return _execute([run], _OR_KEEP) == 1


def _execute(runs: Sequence[NewRun], on_conflict: str = "") -> int:
    """Insert runs; return how many were."""
    sql, values = _insert(runs)
    has_eta = any(run.eta is not None for run in runs)
    count, rows = run_bound(sql + on_conflict + (" RETURNING id, state" if has_eta else ""), values)
    states = dict(rows)
    for run in runs if has_eta else ():
        run.state = states.get(run.id, run.state)
    return count


def _insert(runs: Sequence[NewRun]) -> tuple[str, dict[str, Any]]:
    """Return the statement and its parameters: a value that is the same in all rows is sent once, others as arrays."""
    values = {name: _values(runs, name) for name in _VALUES}
    varying = [name for name, those in values.items() if those.count(those[0]) < len(those)]
    usual = [name for name, (value, _) in _USUAL.items() if values[name][0] == value and name not in varying]
    sent = {name: those[0] for name, those in values.items() if name not in usual and name not in varying}
    arrays = {name: array(values[name]) if name in _NEVER_NULL else values[name] for name in varying}
    return _statement(tuple(sent), tuple(arrays), tuple(usual)), sent | arrays


@lru_cache(_STATEMENTS_KEPT)
def _statement(sent: Sequence[str], varying: Sequence[str], usual: Sequence[str]) -> str:
    """Build the statement.

    Args:
        sent: The values that are sent once.
        varying: Those that are sent as arrays.
        usual: Those that are not sent.
    """
    constant = {name: f"%({name})s::{_VALUES[name]}" for name in sent}
    constant |= {name: f"{_USUAL[name][1]}::{_VALUES[name]}" for name in usual}
    arrays = ", ".join(f"%({name})s::{_VALUES[name]}[]" for name in varying)
    rows = f" FROM unnest({arrays}) AS varying ({', '.join(varying)})" if varying else ""
    columns = _columns(frozenset(usual), constant | {name: f"varying.{name}" for name in varying})
    into = f"INSERT INTO tasks_taskrun ({', '.join(columns)})"
    return f"{into} SELECT {', '.join(columns.values())}{rows}"


def _columns(usual: frozenset[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return what the columns get; those that get nothing are left out.

    Args:
        usual: The values that are as usual.
        given: What stands in the statement for each value.
    """
    columns = {name: given[name] for name in _PLAIN}
    columns["user_id"] = _if_there_is(given["user_id"])
    for name, (made, deciding, otherwise) in _MADE.items():
        columns[name] = (otherwise if deciding <= usual else made).format_map(given)
    nothing = {name for name in usual if _USUAL[name][0] is None} & set(_PLAIN)
    return {name: value for name, value in columns.items() if name not in nothing and value != "NULL"}


def _if_there_is(user_id: str) -> str:
    """Return what selects a user's id, or nothing for one who was deleted: that must not keep a run from being sent."""
    people = f'"{get_user_model()._meta.db_table}" AS person'
    return f"(SELECT person.id FROM {people} WHERE person.id = {user_id})"  # noqa: S608 - our own names


def _values(runs: Sequence[NewRun], name: str) -> list[Any]:
    values = list(map(attrgetter(name), runs))
    return [to_json(value).decode() for value in values] if _VALUES[name] == "jsonb" else values

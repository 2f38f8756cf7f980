"""A table of what was executed when, on the database's clock, which tells exactly what went wrong."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

_CREATE = """
    CREATE TABLE IF NOT EXISTS drill_execution (
        id uuid PRIMARY KEY,
        run_id uuid NOT NULL,
        pid int NOT NULL,
        task text NOT NULL,
        key text NOT NULL,
        started float8 NOT NULL,
        began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at timestamptz,
        outcome text NOT NULL DEFAULT ''
    )
"""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One execution of a run's code.

    Args:
        run_id: The run.
        pid: The worker process.
        began_at: When that was written down, in seconds since 1970.
        ended_at: The same; None if its end was not written down.
        outcome: "done", "interrupted", or "" without an end.
        task: The task's name.
        key: By what its limit is counted.
        started: When its code started, on this machine's monotonic clock, which all processes share and none has set
            wrong: the database may have been away meanwhile.
    """

    run_id: UUID
    pid: int
    began_at: float
    ended_at: float | None
    outcome: str
    task: str = ""
    key: str = ""
    started: float = 0.0


def create() -> None:
    """Make the table."""
    with connection.cursor() as cursor:
        cursor.execute(_CREATE)


def drop() -> None:
    """Remove it."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS drill_execution")


def begin(execution: UUID, *, run_id: UUID, pid: int, task: str, key: str, started: float) -> None:
    """Write down that an execution begins; a second time changes nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO drill_execution (id, run_id, pid, task, key, started) VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [execution, run_id, pid, task, key, started],
        )


def end(execution: UUID, *, outcome: str) -> None:
    """Write down that an execution ended, and how."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE drill_execution SET ended_at = clock_timestamp(), outcome = %s WHERE id = %s AND ended_at IS NULL",
            [outcome, execution],
        )


def busy(pids: list[int]) -> list[int]:
    """Return which of some processes execute something now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT pid FROM drill_execution WHERE ended_at IS NULL AND pid = ANY(%s)", [pids])
        return [pid for (pid,) in cursor.fetchall()]


def recorded() -> list[Execution]:
    """Return everything in the order in which it began."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT run_id, pid, extract(epoch FROM began_at)::float8, extract(epoch FROM ended_at)::float8, outcome,"
            " task, key, started"
            " FROM drill_execution ORDER BY began_at"
        )
        return [
            Execution(
                run_id=run_id,
                pid=pid,
                began_at=began_at,
                ended_at=ended_at,
                outcome=outcome,
                task=task,
                key=key,
                started=started,
            )
            for run_id, pid, began_at, ended_at, outcome, task, key, started in cursor.fetchall()
        ]


def clock_ahead() -> float:
    """Return how many seconds the database's clock is ahead of this machine's, as the quickest of some answers says."""
    return min(_ask_clock() for _ in range(10))[1]


def _ask_clock() -> tuple[float, float]:
    with connection.cursor() as cursor:
        asked = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        answered = time.time()
        return answered - asked, float(cursor.fetchone()[0]) - (asked + answered) / 2

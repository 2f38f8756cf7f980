"""Starts: which of them a rate limit still counts, and when the next one is free.

The last starts of a limit are rows, numbered, and no more than may start in a period. Start `n` is free when start
`n - limit` has left the window, so one row decides however high the limit is and however many wait. All of it is told
by the database's clock, under the lock of the limit.

A start is recorded with the claim, before the run's code. The code begins within the rate's grace of that, or its start
is recorded anew, and a recorded start counts for the period and the grace: so no window of the period's length,
wherever it begins, has more starts of code than the limit, whatever happens between the record and the code.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction

from project.database.prepared_statements import run_prepared
from project.tasks.rate import Rate

#: How many runs of a limit are published at once at most; the next follow when the first of them have ended.
MOST_AT_ONCE: Final = 100
#: After so long no start counts any more: the longest period and its grace.
FORGOTTEN_AFTER: Final = timedelta(days=1, hours=1)
#: How many limits one call forgets, so that it stays short.
_FORGOTTEN_AT_ONCE: Final = 5000
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_COUNTING: Final = """
    SELECT count(*), min(at) + %(counts_for)s::interval
      FROM tasks_start, (SELECT coalesce((SELECT started FROM tasks_limit WHERE key = %(key)s), 0) AS started) AS so_far
     WHERE limit_key = %(key)s AND number > started - %(limit)s AND number <= started - %(limit)s + %(most)s
       AND at > clock_timestamp() - %(counts_for)s::interval
"""
_RECORD: Final = """
    WITH counted AS (
        INSERT INTO tasks_limit AS so_far (key, started) VALUES (%(key)s, 1)
            ON CONFLICT (key) DO UPDATE SET started = so_far.started + 1 RETURNING started
    ), forgotten AS (
        DELETE FROM tasks_start USING counted WHERE limit_key = %(key)s AND number <= counted.started - %(limit)s
    )
    INSERT INTO tasks_start (limit_key, number, at) SELECT %(key)s, started, clock_timestamp() FROM counted
    RETURNING number
"""
_RENEW: Final = """
    UPDATE tasks_start SET at = clock_timestamp()
     WHERE limit_key = %(key)s AND number = %(number)s AND %(limit)s > 0 RETURNING number
"""
_IDLE: Final = """
    SELECT key FROM tasks_limit
     WHERE look_at IS NULL
       AND NOT EXISTS (SELECT FROM tasks_start WHERE limit_key = key AND number = started
                          AND at > clock_timestamp() - %(forgotten_after)s::interval)
     LIMIT %(most)s
"""
# Asked again under the lock of the limit.
_FORGET: Final = """
    WITH gone AS (
        DELETE FROM tasks_limit
         WHERE key = %(key)s AND look_at IS NULL
           AND NOT EXISTS (SELECT FROM tasks_start WHERE limit_key = %(key)s
                              AND at > clock_timestamp() - %(forgotten_after)s::interval)
     RETURNING key
    ), starts AS (
        DELETE FROM tasks_start USING gone WHERE limit_key = gone.key
    )
    SELECT key FROM gone
"""


def lock_limit(key: str) -> None:
    """Keep everybody else from counting what is under way or starts under a limit, until the transaction ends."""
    # A statement sees what was committed before it began, so the lock is taken by one of its own.
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [key])


def free_starts(key: str, rate: Rate) -> int:
    """Count how many runs may start now; of a high limit no more than `MOST_AT_ONCE`."""
    most = min(rate.limit, MOST_AT_ONCE)
    return most - _counting(key, rate, most=most)[0]


def next_start(key: str, rate: Rate) -> datetime | None:
    """Return when the next run may start; None if that is now."""
    return _counting(key, rate, most=1)[1]


@dataclass(frozen=True, kw_only=True)
class TakenStart:
    """A start that is recorded for a run whose code has not begun.

    Args:
        key: The name of the limit.
        rate: How many may start in a period.
        number: Which start of the limit it is.
        begin_by: Until when the code may begin, on this process's monotonic clock.
    """

    key: str
    rate: Rate
    number: int
    begin_by: float

    @property
    def is_late(self) -> bool:
        """Whether the code must not begin any more."""
        return time.monotonic() > self.begin_by


def take_start(key: str, rate: Rate) -> TakenStart | None:
    """Record that a run is about to start; None if no start is free. The caller has locked the limit."""
    if _counting(key, rate, most=1)[0]:
        return None
    return _recorded(_RECORD, key, rate)


def renew_start(taken: TakenStart) -> TakenStart | None:
    """Record a start that was taken too early for its code as one of now; None if it is not free any more."""
    with transaction.atomic():
        lock_limit(taken.key)
        # Once the next one in its place has started, its row is gone.
        return _recorded(_RENEW, taken.key, taken.rate, number=taken.number) or take_start(taken.key, taken.rate)


def _recorded(sql: str, key: str, rate: Rate, **values: int) -> TakenStart | None:
    before = time.monotonic()
    rows = run_prepared(sql, {"key": key, "limit": rate.limit, **values})
    begin_by = before + rate.grace.total_seconds()
    return TakenStart(key=key, rate=rate, number=rows[0][0], begin_by=begin_by) if rows else None


def forget_starts() -> int:
    """Delete limits under which nothing has started for so long that nothing counts; return how many."""
    idle = run_prepared(_IDLE, {"forgotten_after": FORGOTTEN_AFTER, "most": _FORGOTTEN_AT_ONCE})
    return sum(_forget(key) for (key,) in idle)


def _forget(key: str) -> bool:
    with transaction.atomic():
        lock_limit(key)
        return bool(run_prepared(_FORGET, {"key": key, "forgotten_after": FORGOTTEN_AFTER}))


def _counting(key: str, rate: Rate, *, most: int) -> tuple[int, datetime | None]:
    """Count those of the next starts that are not free yet, and tell when the first of them will be."""
    values = {"key": key, "limit": rate.limit, "most": most, "counts_for": rate.counts_for}
    ((count, until),) = run_prepared(_COUNTING, values)
    return count, until

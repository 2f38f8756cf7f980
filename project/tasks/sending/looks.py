"""Looks: when somebody looks at the runs that wait for a limit, so that none of them waits for longer than it must.

Who ends a run, cancels one or sends one looks at its limit at once. What only the clock brings, a start that leaves
the window or a run that becomes due, is planned: a time in the limit's row, so that a second in which nothing is due
costs the same however many limits there are. What nobody tells of, such as the death of a process, is found by a walk
over the limits under which runs wait: a few of them each second, one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from project.database.prepared_statements import array, run_prepared
from project.tasks.sending.slots import policy_of, slots_of
from project.tasks.sending.starts import next_start

#: Between two looks at one limit: starts that come free meanwhile are given away together.
_PAUSE: Final = timedelta(milliseconds=100)
#: Whoever takes a planned look has so long for it; then another process does.
_OURS_FOR: Final = timedelta(seconds=2)
#: How many planned looks one call takes.
_LOOKS_AT_ONCE: Final = 200
#: How many limits one call walks over, and how long it looks at those that may have room.
_STEP: Final = 500
_WALK_FOR: Final = timedelta(milliseconds=50)
_DUE: Final = """
    SELECT EXISTS (SELECT FROM tasks_taskrun WHERE limit_key = %(key)s AND limit_key <> ''
                      AND state IN ('pending', 'retrying') AND run_after <= statement_timestamp())
"""
_PLAN: Final = """
    WITH next (at) AS (
        SELECT least(%(start)s::timestamptz,
                     (SELECT min(run_after) FROM tasks_taskrun
                       WHERE limit_key = %(key)s AND limit_key <> '' AND state IN ('pending', 'retrying')
                         AND run_after > statement_timestamp()))
    ), planned AS (
        INSERT INTO tasks_limit (key, look_at)
        SELECT %(key)s, greatest(at, clock_timestamp() + %(pause)s::interval) FROM next WHERE at IS NOT NULL
            ON CONFLICT (key) DO UPDATE SET look_at = excluded.look_at
     RETURNING key
    )
    UPDATE tasks_limit SET look_at = NULL
     WHERE key = %(key)s AND look_at IS NOT NULL AND NOT EXISTS (SELECT FROM planned) RETURNING key
"""
_IS_PLANNED: Final = """
    SELECT EXISTS (SELECT FROM tasks_limit WHERE key = %(key)s
                      AND look_at <= greatest(%(by)s::timestamptz, clock_timestamp()) + %(pause)s::interval)
"""
_SOON: Final = """
    INSERT INTO tasks_limit (key, look_at) SELECT key, clock_timestamp() FROM unnest(%(keys)s::text[]) AS given (key)
     ORDER BY key ON CONFLICT (key) DO UPDATE SET look_at = excluded.look_at RETURNING key
"""
_TAKE_PLANNED: Final = """
    UPDATE tasks_limit SET look_at = clock_timestamp() + %(ours_for)s::interval
     WHERE key = ANY (ARRAY (SELECT key FROM tasks_limit WHERE look_at <= statement_timestamp()
                              ORDER BY look_at LIMIT %(most)s FOR UPDATE SKIP LOCKED))
    RETURNING key
"""
# The keys are looked up one after the other, each with one step in the index.
_WALK: Final = """
    WITH RECURSIVE waiting (key) AS (
        (SELECT limit_key FROM tasks_taskrun
          WHERE limit_key <> '' AND limit_key > %(after)s AND state IN ('pending', 'retrying')
          ORDER BY limit_key LIMIT 1)
        UNION ALL
        SELECT (SELECT limit_key FROM tasks_taskrun
                 WHERE limit_key <> '' AND state IN ('pending', 'retrying') AND limit_key > waiting.key
                 ORDER BY limit_key LIMIT 1)
          FROM waiting WHERE waiting.key IS NOT NULL
    )
    SELECT key, (SELECT count(*) FROM tasks_taskrun WHERE limit_key = key AND limit_key <> '' AND state = 'running'),
           (SELECT min(run_after) FROM tasks_taskrun
             WHERE limit_key = key AND limit_key <> '' AND state IN ('pending', 'retrying')) <= statement_timestamp()
      FROM waiting WHERE key IS NOT NULL LIMIT %(most)s
"""


def plan_look(key: str) -> None:
    """Plan when to look at a limit again, under which what could be published was; the caller has locked the limit."""
    policy = policy_of(key)
    start = None
    if policy is not None and policy.rate is not None and run_prepared(_DUE, {"key": key})[0][0]:
        start = next_start(key, policy.rate)
    run_prepared(_PLAN, {"key": key, "start": start, "pause": _PAUSE})


def must_plan(key: str) -> bool:
    """Tell whether as many as may start under a limit have, and nobody has planned to look at it again."""
    policy = policy_of(key)
    if policy is None or policy.rate is None or (at := next_start(key, policy.rate)) is None:
        return False
    return not run_prepared(_IS_PLANNED, {"key": key, "by": at, "pause": _PAUSE})[0][0]


def look_soon(keys: set[str]) -> None:
    """Have limits looked at by the next process that looks for what is due."""
    if keys:
        run_prepared(_SOON, {"keys": array(sorted(keys))})


def planned_looks() -> list[str]:
    """Return limits to look at because the clock says so; nobody else gets them for a moment."""
    return [key for (key,) in run_prepared(_TAKE_PLANNED, {"ours_for": _OURS_FOR, "most": _LOOKS_AT_ONCE})]


class Walk:
    """Walks over the limits under which runs wait, a few at each call; after the last comes the first."""

    def __init__(self) -> None:
        self._after = ""

    def with_room(self) -> Iterator[str]:
        """Yield some limits under which runs are due and may have room."""
        rows = run_prepared(_WALK, {"after": self._after, "most": _STEP})
        until = time.monotonic() + _WALK_FOR.total_seconds()
        for key, running, is_due in rows:
            if time.monotonic() > until:
                return
            self._after = key
            if is_due and running < slots_of(key) and (_has_start(key) or must_plan(key)):
                yield key
        if len(rows) < _STEP:
            self._after = ""


def _has_start(key: str) -> bool:
    policy = policy_of(key)
    return policy is None or policy.rate is None or next_start(key, policy.rate) is None


#: This process's.
walk = Walk()

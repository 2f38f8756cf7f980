"""Slots: how many runs under a limit may be under way or start, and which of those that wait is next.

A run of a task with `max_concurrency` or `rate_limit` carries the key of its limit: the task's name and, if it is
counted by a key, what that is. It waits in PostgreSQL, and no more are published than may start: those that wait cost
nothing, however many they are, and hold up no other task and no other key.

The slots that are taken are counted each time, so that none can be lost: every run of the key that is running, and
those that are published in the queue into which the next one would go. What is published in other queues does not
count, because perhaps no worker consumes those. What is published may be more than may start, then: the claim counts
the running ones again, and `starts.py` each start, so that a run for which there is no room still has to wait.
"""

from __future__ import annotations

import re
from typing import Final

from project.database.prepared_statements import run_prepared
from project.tasks.declaration import all_declarations
from project.tasks.models import TaskRun
from project.tasks.policy import Policy
from project.tasks.sending.starts import free_starts

#: How many are published at once of a task whose limit was removed after its runs were sent.
_MOST: Final = 1000
#: Stands for no limit.
_ANY: Final = 1_000_000_000
#: A key is the name of a task, or begins with it.
_AFTER_THE_NAME: Final = re.compile("[:…]")
# The queues in which some wait are looked up one after the other, each with one step in the index.
_TAKE: Final = """
    WITH RECURSIVE place (queue) AS (
        (SELECT queue FROM tasks_taskrun
          WHERE limit_key = %(key)s AND limit_key <> '' AND state IN ('pending', 'retrying') ORDER BY queue LIMIT 1)
        UNION ALL
        SELECT (SELECT queue FROM tasks_taskrun
                 WHERE limit_key = %(key)s AND limit_key <> '' AND state IN ('pending', 'retrying')
                   AND queue > place.queue ORDER BY queue LIMIT 1)
          FROM place WHERE place.queue IS NOT NULL
    ), next AS (
        SELECT waiting.id
          FROM place
         CROSS JOIN LATERAL (
              SELECT count(*) AS queued FROM tasks_taskrun
               WHERE limit_key = %(key)s AND limit_key <> '' AND state = 'queued' AND queue = place.queue) AS published
         CROSS JOIN LATERAL (
              SELECT id FROM tasks_taskrun
               WHERE limit_key = %(key)s AND limit_key <> '' AND state IN ('pending', 'retrying')
                 AND queue = place.queue AND waits_for_key IS NULL AND run_after <= statement_timestamp()
               ORDER BY priority, run_after
               LIMIT greatest(0, least(%(slots)s - published.queued - (
                   SELECT count(*) FROM tasks_taskrun AS running
                    WHERE running.limit_key = %(key)s AND running.limit_key <> '' AND running.state = 'running'),
                   %(starts)s - published.queued))
                 FOR UPDATE SKIP LOCKED) AS waiting
         WHERE place.queue NOT IN (SELECT queue FROM tasks_pausedqueue)
    )
    UPDATE tasks_taskrun AS run SET state = 'queued', published_at = statement_timestamp()
     WHERE id = ANY (ARRAY (SELECT id FROM next)) RETURNING run.*
"""
_TAKEN: Final = """
    SELECT (SELECT count(*) FROM tasks_taskrun
             WHERE limit_key = %(key)s AND limit_key <> '' AND state = 'queued' AND queue = %(queue)s),
           (SELECT count(*) FROM tasks_taskrun
             WHERE limit_key = %(key)s AND limit_key <> '' AND state = 'running')
"""


def take_slots(key: str) -> list[TaskRun]:
    """Mark those runs as queued that are next, and return them; the caller has locked the limit and publishes."""
    return list(TaskRun.objects.raw(_TAKE, {"key": key, "slots": slots_of(key), "starts": _starts_of(key)}))


def has_room(key: str, *, queue: str) -> bool:
    """Tell, without waiting for anybody, whether a run that was just sent to that queue may be published."""
    ((queued, running),) = run_prepared(_TAKEN, {"key": key, "queue": queue})
    return bool(running + queued < slots_of(key) and queued < _starts_of(key))


def has_slot(key: str, *, queue: str) -> bool:
    """Tell whether fewer than may run at once are running or published in that queue."""
    ((queued, running),) = run_prepared(_TAKEN, {"key": key, "queue": queue})
    return bool(running + queued < slots_of(key))


def slots_of(key: str) -> int:
    """Return how many runs of a limit may be under way at once."""
    policy = policy_of(key)
    if policy is None:
        return 1  # this code does not know the limit: publish one run, for a worker that does
    return policy.max_concurrency or (_ANY if policy.rate else _MOST)


def policy_of(key: str) -> Policy | None:
    """Return the policy that has a limit; None if this code does not know its task."""
    task = all_declarations().get(key) or all_declarations().get(_AFTER_THE_NAME.split(key, maxsplit=1)[0])
    return None if task is None else task.policy


def _starts_of(key: str) -> int:
    policy = policy_of(key)
    return _ANY if policy is None or policy.rate is None else free_starts(key, policy.rate)

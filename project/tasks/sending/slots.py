"""Slots: how many runs of a task may be under way at once, and which of those that wait is next.

A run of a task with `max_concurrency` carries the key of its limit. It waits in PostgreSQL, and no more are published
than there are slots: those that wait cost nothing, however many they are, and hold up no other task.

The slots that are taken are counted each time, so that none can be lost: every run of the key that is running, and
those that are published in the queue into which the next one would go. What is published in other queues does not
count, because perhaps no worker consumes those. The claim counts the running ones again, so that a run that was
published twice, or in two queues, still has to wait.
"""

from __future__ import annotations

from typing import Final

from django.db import connection

from project.database.prepared_statements import run_prepared
from project.tasks.declaration import all_declarations
from project.tasks.models import TaskRun

#: How many are published at once of a task whose limit was removed after its runs were sent.
_MOST: Final = 1000
# A statement sees what was committed before it began, so the lock is taken by one before it.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
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
          FROM place CROSS JOIN LATERAL (
              SELECT id FROM tasks_taskrun
               WHERE limit_key = %(key)s AND limit_key <> '' AND state IN ('pending', 'retrying')
                 AND queue = place.queue AND waits_for_key IS NULL AND run_after <= statement_timestamp()
               ORDER BY priority, run_after
               LIMIT greatest(0, %(slots)s - (
                   SELECT count(*) FROM tasks_taskrun AS taken
                    WHERE taken.limit_key = %(key)s AND taken.limit_key <> ''
                      AND (taken.state = 'running' OR taken.state = 'queued' AND taken.queue = place.queue)))
                 FOR UPDATE SKIP LOCKED) AS waiting
         WHERE place.queue NOT IN (SELECT queue FROM tasks_pausedqueue)
    )
    UPDATE tasks_taskrun AS run SET state = 'queued', published_at = statement_timestamp()
     WHERE id = ANY (ARRAY (SELECT id FROM next)) RETURNING run.*
"""
_TAKEN: Final = """
    SELECT count(*) FROM tasks_taskrun
     WHERE limit_key = %(key)s AND limit_key <> '' AND (state = 'running' OR state = 'queued' AND queue = %(queue)s)
"""
_WAITING: Final = """
    WITH RECURSIVE waiting (key) AS (
        (SELECT limit_key FROM tasks_taskrun
          WHERE limit_key <> '' AND state IN ('pending', 'retrying') ORDER BY limit_key LIMIT 1)
        UNION ALL
        SELECT (SELECT limit_key FROM tasks_taskrun
                 WHERE limit_key <> '' AND state IN ('pending', 'retrying') AND limit_key > waiting.key
                 ORDER BY limit_key LIMIT 1)
          FROM waiting WHERE waiting.key IS NOT NULL
    )
    SELECT key, (SELECT count(*) FROM tasks_taskrun WHERE limit_key = key AND limit_key <> '' AND state = 'running')
      FROM waiting WHERE key IS NOT NULL
"""


def lock_slots(key: str) -> None:
    """Keep everybody else from counting the slots of a limit until the surrounding transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [key])


def take_slots(key: str) -> list[TaskRun]:
    """Mark those runs as queued that are next, and return them; the caller has locked the slots and publishes."""
    return list(TaskRun.objects.raw(_TAKE, {"key": key, "slots": slots_of(key)}))


def has_room(key: str, *, queue: str) -> bool:
    """Tell, without waiting for anybody, whether a run that was just sent to that queue may be published."""
    return taken_slots(key, queue=queue) < slots_of(key)


def taken_slots(key: str, *, queue: str) -> int:
    """Count what runs under the key, and what is published in that queue."""
    ((taken,),) = run_prepared(_TAKEN, {"key": key, "queue": queue})
    return int(taken)


def waiting_keys_with_room() -> list[str]:
    """Return the limits under which runs wait and not as many run as may."""
    return [key for key, running in run_prepared(_WAITING, {}) if running < slots_of(key)]


def slots_of(key: str) -> int:
    """Return how many runs of a limit may be under way at once."""
    task = all_declarations().get(key)
    if task is None:
        return 1  # this code does not know the limit: publish one run, for a worker that does
    return task.policy.max_concurrency or _MOST

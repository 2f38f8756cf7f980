"""Unique keys: of the unfinished runs one at a time has a key, and in a batch or chain the others wait for it."""

from __future__ import annotations

from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from project.tasks.models import TaskRun

#: How many keys one call gives away at most, so that a call stays short.
_MOST = 500
# For each key that no unfinished run has, the run that has waited longest for it.
_NEXT = """
    SELECT DISTINCT ON (waits_for_key) id FROM tasks_taskrun AS waiting
     WHERE state = 'pending' AND waits_for_key IS NOT NULL AND run_after <= statement_timestamp()
       AND NOT EXISTS (SELECT FROM tasks_taskrun AS holder WHERE holder.unique_key = waiting.waits_for_key
                          AND holder.state IN ('pending', 'queued', 'running', 'retrying'))
     ORDER BY waits_for_key, id LIMIT %s
"""


def admit_waiting() -> int:
    """Give each unique key that is free to the run that has waited longest for it; return to how many.

    Raises:
        django.db.Error: If the database does not answer.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [_MOST])
        run_ids = [run_id for (run_id,) in cursor.fetchall()]
    return sum(_admit(run_id) for run_id in run_ids)


def holder_of(run: TaskRun) -> TaskRun | None:
    """Return the unfinished run that has the key for which this one waits."""
    if run.waits_for_key is None:
        return None
    return TaskRun.objects.filter(unique_key=run.waits_for_key, state__in=TaskRun.UNFINISHED).first()


def _admit(run_id: UUID) -> bool:
    run = TaskRun.objects.filter(id=run_id, state=TaskRun.State.PENDING, waits_for_key__isnull=False)
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                # Somebody may be sending a run of that key, in a transaction that takes its time.
                cursor.execute("SET LOCAL lock_timeout = '50ms'")
            return bool(run.update(unique_key=F("waits_for_key"), waits_for_key=None, run_after=Now()))
    except DatabaseError:
        # The key is taken again, or is about to be: the next call tries again, and fails if the connection is lost.
        return False

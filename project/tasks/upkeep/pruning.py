"""Deletes the history: runs that ended long ago, in short transactions, oldest first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from pydantic import BaseModel, ConfigDict

from project.database.locks import unlocked
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.sending.starts import forget_starts
from project.values.ids import first_uuid7

#: How many runs one transaction deletes, so that it stays short.
PRUNED_AT_ONCE = 5000

#: A run id that a caller made up need not sort by time. Ids that lie so far in the future are all looked at.
_OUT_OF_ORDER = timedelta(days=1)
_KEPT_LONGER = (TaskRun.State.DEAD, TaskRun.State.CANCELLED, TaskRun.State.EXPIRED, TaskRun.State.DISCARDED)

# Ids sort by time, so the primary key is the index that pruning needs. What cascades is deleted by the same statement:
# Django would read every row first.
_DELETE = """
    WITH gone AS MATERIALIZED (
        SELECT run.id FROM tasks_taskrun AS run
         WHERE run.state = %(state)s AND run.id > %(after)s AND run.id < %(before)s
           AND coalesce(run.finished_at, run.created_at) < %(ended_before)s
           AND NOT EXISTS (SELECT FROM tasks_taskbatch AS batch
                            WHERE batch.id = run.batch_id AND batch.finished_at IS NULL)
         ORDER BY run.id LIMIT %(limit)s
           FOR UPDATE OF run SKIP LOCKED
    ), attempts AS (
        DELETE FROM tasks_taskattempt WHERE run_id IN (SELECT id FROM gone)
    )
    DELETE FROM tasks_taskrun WHERE id IN (SELECT id FROM gone) RETURNING id
"""


class PruneResult(BaseModel):
    """What pruning came to."""

    model_config = ConfigDict(frozen=True)

    runs: int
    batches: int


def prune(*, succeeded_days: int, others_days: int, limit: int = PRUNED_AT_ONCE) -> PruneResult:
    """Delete runs that ended long ago, with their attempts, and batches none of whose runs are left.

    Unfinished runs, and members of batches whose callback is not sent yet, stay.

    Args:
        succeeded_days: How many days a run that succeeded is kept.
        others_days: How many days every other run that has ended is kept.
        limit: How many runs one transaction deletes.
    """
    now = timezone.now()
    succeeded = sum(_delete_ended(TaskRun.State.SUCCEEDED, now - timedelta(days=succeeded_days), limit=limit))
    kept_until = now - timedelta(days=others_days)
    forget_starts()
    others = sum(count for state in _KEPT_LONGER for count in _delete_ended(state, kept_until, limit=limit))
    return PruneResult(runs=succeeded + others, batches=_delete_batches(min(kept_until, now)))


def _delete_ended(state: str, ended_before: datetime, *, limit: int) -> Iterator[int]:
    """Delete the runs of a state batch by batch, yielding how many each deleted."""
    nothing, future = UUID(int=0), first_uuid7(timezone.now() + _OUT_OF_ORDER)
    for after, before in ((nothing, first_uuid7(ended_before)), (future, UUID(int=2**128 - 1))):
        while deleted := _delete(state, ended_before, after=after, before=before, limit=limit):
            # What stays between here and there need not be looked at again.
            after = max(deleted)  # noqa: PLW2901
            yield len(deleted)


def _delete(state: str, ended_before: datetime, *, after: UUID, before: UUID, limit: int) -> list[UUID]:
    values: dict[str, Any] = {
        "state": state,
        "after": after,
        "before": before,
        "ended_before": ended_before,
        "limit": limit,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_DELETE, values)
        return [row[0] for row in cursor.fetchall()]


def _delete_batches(ended_before: datetime) -> int:
    empty = TaskBatch.objects.filter(finished_at__lt=ended_before, taskrun=None)
    with transaction.atomic():
        ids = list(empty.order_by("id").values_list("id", flat=True)[:PRUNED_AT_ONCE])
        return unlocked(TaskBatch.objects.filter(id__in=ids)).delete()[0]

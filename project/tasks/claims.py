"""The claim: the one statement that makes a run this worker's, and nobody else's.

It names the attempt that the message was published for, so that a duplicate or a late message claims nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import dramatiq
import structlog
from django.db import connection, transaction
from django.utils import timezone

from project.tasks.cause import Cause
from project.tasks.groups import GroupCommit
from project.tasks.models import PausedQueue, TaskRun
from project.tasks.persistence import insist
from project.tasks.statements import array, run_prepared

log = structlog.get_logger(__name__)

#: A run that has to wait for others of its task is looked at again after this long.
BLOCKED_FOR = timedelta(seconds=1)

# The last line lets a claim be repeated whose reply was lost with the connection.
_CLAIM = """
    UPDATE tasks_taskrun AS run
       SET state = 'running', attempts = run.attempts + 1, worker_id = %(worker)s::uuid,
           started_at = clock_timestamp(), finished_at = NULL, progress = NULL, progress_note = ''
      FROM unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS message (id, attempt)
     WHERE run.id = message.id
       AND (run.state IN ('pending', 'queued', 'retrying') AND run.attempts = message.attempt
            AND (run.expires_at IS NULL OR run.expires_at > clock_timestamp())
            AND NOT EXISTS (SELECT FROM tasks_pausedqueue AS paused WHERE paused.queue = run.queue)
            OR run.state = 'running' AND run.attempts = message.attempt + 1 AND run.worker_id = %(worker)s::uuid)
 RETURNING run.id, run.attempts, run.task, run.arguments, run.source, run.user_id, run.request_id,
           run.started_at, run.next_steps
"""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A run that this worker may execute now.

    Args:
        run_id: The run.
        worker_id: This worker's row.
        attempt: The number of the attempt, from 1.
        task: The task's name.
        arguments: Its arguments as JSON values.
        cause: Who sent it.
        started_at: When it was claimed.
        next_steps: What a chain sends when it succeeds.
    """

    run_id: UUID
    worker_id: UUID
    attempt: int
    task: str
    arguments: dict[str, Any]
    cause: Cause
    started_at: datetime
    next_steps: list[dict[str, Any]]


class _ThisWorker:
    """The id under which this process claims; set when it signs on."""

    id = UUID(int=0)


this_worker = _ThisWorker()


def claim_run(message: dramatiq.Message[Any], *, max_concurrency: int | None) -> Claim | None:
    """Claim the run of a delivered message for this worker.

    Args:
        message: The message; its option ``attempt`` is the number of attempts before this one.
        max_concurrency: How many runs of this task may run at once, over all workers.

    Returns:
        The claim; None if the message is a duplicate, or its run may not start (now, or any more).
    """
    claim = _claim_alone(message, max_concurrency) if max_concurrency else insist(lambda: _claim_together(message))
    if claim is None:
        insist(lambda: _put_back_if_paused(message))
        log.info("message_skipped", run_id=message.message_id, reason="its run is not waiting, or its queue is paused")
    return claim


def _claim_all(messages: Sequence[dramatiq.Message[Any]]) -> list[Claim | None]:
    values = {
        "ids": array(message.message_id for message in messages),
        "attempts": array(message.options["attempt"] for message in messages),
        "worker": str(this_worker.id),
    }
    claims = {str(row[0]): _claim_of(*row) for row in run_prepared(_CLAIM, values)}
    return [claims.get(message.message_id) for message in messages]


_claim_together: GroupCommit[dramatiq.Message[Any], Claim | None] = GroupCommit(_claim_all)


def _claim_of(*row: Any) -> Claim:
    run_id, attempt, task, arguments, source, user_id, request_id, started_at, next_steps = row
    return Claim(
        run_id=run_id,
        worker_id=this_worker.id,
        attempt=attempt,
        task=task,
        arguments=json.loads(arguments),
        cause=Cause(source=source, user_id=user_id, request_id=request_id),
        started_at=started_at,
        next_steps=json.loads(next_steps),
    )


def _claim_alone(message: dramatiq.Message[Any], max_concurrency: int) -> Claim | None:
    def claim() -> Claim | None:
        with transaction.atomic():
            if _count_running(message.actor_name) < max_concurrency:
                return _claim_all([message])[0]
            _waiting(message).update(state=TaskRun.State.PENDING, run_after=timezone.now() + BLOCKED_FOR)
            return None

    return insist(claim)


def _count_running(task: str) -> int:
    """Count the task's running runs; the lock, kept until the transaction ends, makes others count after us."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [task])
    return TaskRun.objects.filter(task=task, state=TaskRun.State.RUNNING).count()


def _put_back_if_paused(message: dramatiq.Message[Any]) -> None:
    _waiting(message).filter(queue__in=PausedQueue.objects.values("queue")).update(state=TaskRun.State.PENDING)


def _waiting(message: dramatiq.Message[Any]) -> Any:
    return TaskRun.objects.filter(id=message.message_id, attempts=message.options["attempt"], state__in=TaskRun.WAITING)

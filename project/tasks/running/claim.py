"""The claim: what makes a run this worker's, and nobody else's."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import dramatiq
import structlog
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import QuerySet

from project.database.locks import unlocked
from project.tasks.models import PausedQueue, TaskRun
from project.tasks.running.claim_statement import ClaimedRow, claim_and_succeed_unlocked
from project.tasks.running.database import insist
from project.tasks.running.group_commit import group_commit
from project.tasks.running.this_worker import this_worker
from project.tasks.sending.cause import Cause
from project.tasks.sending.slots import lock_slots

log = structlog.get_logger(__name__)

#: A claim that waited for longer is asked for once more before its run begins: a process that was stopped, as a virtual
#: machine may be, does not know what became of it. Usually a claim waits for a twentieth of that.
CONFIRM_AFTER = timedelta(seconds=1)


@dataclass(kw_only=True)
class Claim:
    """A run that this worker may execute now.

    Args:
        run_id: The run.
        worker_id: This worker's row.
        attempt: The number of the attempt, from 1.
        task: The task's name.
        arguments: Its arguments as JSON values.
        cause: Who sent it.
        started_at: When it was claimed, and once it has begun when that was, by the database's clock in seconds since
            1970: a number, because most runs never need a date.
        next_steps: What a chain sends when it succeeds.
        begun: The same, on this process's monotonic clock.
    """

    run_id: UUID
    worker_id: UUID
    attempt: int
    task: str
    arguments: dict[str, Any]
    cause: Cause
    started_at: float
    next_steps: list[dict[str, Any]]
    begun: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """Note that the run begins now, which may be a while after it was claimed."""
        now = time.monotonic()
        self.started_at += now - self.begun
        self.begun = now

    def is_doubtful(self) -> bool:
        """Tell whether so much time has passed, or this process was presumed dead, that the claim may be lost."""
        return self.worker_id != this_worker.id or time.monotonic() - self.begun > CONFIRM_AFTER.total_seconds()


def claim_run(message: dramatiq.Message[Any], *, max_concurrency: int | None) -> Claim | None:
    """Claim the run of a delivered message for this worker.

    Args:
        message: The message; its option `attempt` is the number of attempts before this one.
        max_concurrency: How many runs of this task may run at once, over all workers.

    Returns:
        The claim; None if the message is a duplicate, or its run may not start (now, or any more).

    Raises:
        django.db.Error: What the database raised, if the process is told to stop meanwhile.
    """
    if max_concurrency:
        row = insist(lambda: _claim_if_a_slot_is_free(message, max_concurrency))
    else:
        row = group_commit.claim(message)
    if row is not None:
        return claim_from(row)
    insist(lambda: _put_back_if_paused(message))
    _say_skipped(message)
    return None


def leave_alone(message: dramatiq.Message[Any]) -> bool:
    """Have a run wait whose message claimed nothing; tell whether the message has nothing left to do."""
    try:
        insist(lambda: _put_back_if_paused(message))
    except DatabaseError:
        return False
    _say_skipped(message)
    return True


def _say_skipped(message: dramatiq.Message[Any]) -> None:
    reason = "its run is not waiting, its queue is paused, or somebody has locked it"
    log.info("message_skipped", run_id=message.message_id, reason=reason)


def claim_from(row: ClaimedRow) -> Claim:
    """Return the claim that a row says."""
    return Claim(
        run_id=row.run_id,
        worker_id=row.worker_id,
        attempt=row.attempt,
        task=row.task,
        arguments=json.loads(row.arguments),
        cause=Cause(source=row.source, user_id=row.user_id, request_id=row.request_id),
        started_at=row.started_at,
        next_steps=json.loads(row.next_steps),
    )


def _claim_if_a_slot_is_free(message: dramatiq.Message[Any], max_concurrency: int) -> ClaimedRow | None:
    # A success of this process that is not written yet would still count as running.
    group_commit.flush()
    with transaction.atomic():
        lock_slots(message.actor_name)
        if _count_running(message.actor_name) < max_concurrency:
            return claim_and_succeed_unlocked([message], []).claimed.get(message.message_id)
        # Whoever is running now looks for the next one when it ends.
        unlocked(_waiting(message)).update(state=TaskRun.State.PENDING, limit_key=message.actor_name)
        return None


def _count_running(task: str) -> int:
    """Count the task's running runs, those included that had no limit when they were sent."""
    return TaskRun.objects.filter(task=task, state=TaskRun.State.RUNNING).count()


def _put_back_if_paused(message: dramatiq.Message[Any]) -> None:
    with transaction.atomic():
        paused = _waiting(message).filter(queue__in=PausedQueue.objects.values("queue"))
        unlocked(paused).update(state=TaskRun.State.PENDING)


def _waiting(message: dramatiq.Message[Any]) -> QuerySet[TaskRun]:
    return TaskRun.objects.filter(id=message.message_id, attempts=message.options["attempt"], state__in=TaskRun.WAITING)

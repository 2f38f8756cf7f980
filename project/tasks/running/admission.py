"""Whether the run of a delivered message may start now, and its claim if so."""

from __future__ import annotations

from typing import Any

import dramatiq
import structlog
from django.db import transaction
from django.db.models import QuerySet

from project.database.locks import unlocked
from project.tasks.models import PausedQueue, TaskRun
from project.tasks.running.claim import Claim
from project.tasks.running.database import insist
from project.tasks.running.group_commit import ledger
from project.tasks.running.writing import write_unlocked
from project.tasks.sending.slots import lock_slots

log = structlog.get_logger(__name__)


def claim_run(message: dramatiq.Message[Any], *, max_concurrency: int | None) -> Claim | None:
    """Claim the run of a delivered message for this worker.

    Args:
        message: The message; its option ``attempt`` is the number of attempts before this one.
        max_concurrency: How many runs of this task may run at once, over all workers.

    Returns:
        The claim; None if the message is a duplicate, or its run may not start (now, or any more).
    """
    if max_concurrency:
        claim = insist(lambda: _claim_if_there_is_room(message, max_concurrency))
    else:
        claim = ledger.claim(message)
    if claim is None:
        insist(lambda: _put_back_if_paused(message))
        log.info(
            "message_skipped",
            run_id=message.message_id,
            reason="its run is not waiting, its queue is paused, or somebody has locked it",
        )
    return claim


def _claim_if_there_is_room(message: dramatiq.Message[Any], max_concurrency: int) -> Claim | None:
    # A success of this process that is not written yet would still count as running.
    ledger.flush()
    with transaction.atomic():
        lock_slots(message.actor_name)
        if _count_running(message.actor_name) < max_concurrency:
            return write_unlocked([message], []).claims.get(message.message_id)
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

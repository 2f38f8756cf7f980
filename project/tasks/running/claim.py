"""The claim: what makes a run this worker's, and nobody else's."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import dramatiq
import structlog
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import Q, QuerySet

from project.database.locks import unlocked
from project.tasks.declaration import Declaration
from project.tasks.models import PausedQueue, TaskRun
from project.tasks.running.claim_statement import ClaimedRow, claim_and_succeed_unlocked
from project.tasks.running.database import insist
from project.tasks.running.group_commit import group_commit
from project.tasks.running.this_worker import this_worker
from project.tasks.sending.cause import Cause
from project.tasks.sending.looks import plan_look
from project.tasks.sending.starts import TakenStart, lock_limit, next_start, take_start

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
        start: What its rate limit has counted; None without one.
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
    start: TakenStart | None = None
    begun: float = field(default_factory=time.monotonic)

    @cached_property
    def key(self) -> str:
        """The run's id as text, which is asked for several times in each run."""
        return str(self.run_id)

    def begin(self) -> None:
        """Note that the run begins now, which may be a while after it was claimed."""
        now = time.monotonic()
        self.started_at += now - self.begun
        self.begun = now

    def now(self) -> float:
        """Return the time by the database's clock, in seconds since 1970, as far as this process can tell."""
        return self.started_at + time.monotonic() - self.begun

    def is_doubtful(self) -> bool:
        """Tell whether so much time has passed, or this process was presumed dead, that the claim may be lost."""
        return self.worker_id != this_worker.id or time.monotonic() - self.begun > CONFIRM_AFTER.total_seconds()


def claim_run(message: dramatiq.Message[Any], task: Declaration) -> Claim | None:
    """Claim the run of a delivered message for this worker.

    Args:
        message: The message; its option `attempt` is the number of attempts before this one.
        task: Its task, which may limit how many run at once.

    Returns:
        The claim; None if the message is a duplicate, or its run may not start (now, or any more).

    Raises:
        django.db.Error: What the database raised, if the process is told to stop meanwhile.
    """
    if task.policy.is_limited:
        if task.policy.max_concurrency:
            # A success of this process that is not written yet would still count as running.
            group_commit.flush()
        claim = insist(lambda: _claim_if_it_may_start(message, task))
    else:
        row = group_commit.claim(message)
        claim = claim_from(row) if row is not None else None
    if claim is not None:
        return claim
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


def claim_from(row: ClaimedRow, *, start: TakenStart | None = None) -> Claim:
    """Return the claim that a row says.

    Args:
        row: What the database told.
        start: What the rate limit has counted.
    """
    return Claim(
        run_id=row.run_id,
        worker_id=row.worker_id,
        attempt=row.attempt,
        task=row.task,
        arguments=json.loads(row.arguments),
        cause=Cause(source=row.source, user_id=row.user_id, request_id=row.request_id),
        started_at=row.started_at,
        next_steps=json.loads(row.next_steps) if row.next_steps != "[]" else [],
        start=start,
    )


def limit_key_of(task: Declaration, arguments: Mapping[str, Any]) -> str:
    """Return the name of the limit of a run, as this code counts it; its sender's may have counted otherwise."""
    try:
        return task.limit_key(arguments)
    except Exception as error:  # the policy's own function may raise anything
        log.warning("limit_key_failed", task=task.name, error=str(error), cure="correct it; counted without a key")
        return task.name


def _claim_if_it_may_start(message: dramatiq.Message[Any], task: Declaration) -> Claim | None:
    key = limit_key_of(task, message.kwargs)
    with transaction.atomic():
        lock_limit(key)
        # It may have been sent before the task had this limit, or counted it by this key.
        unlocked(_waiting(message).exclude(limit_key=key)).update(limit_key=key)
        if _has_slot(message, task, key=key) and _has_start(task, key=key):
            row = claim_and_succeed_unlocked([message], []).claimed.get(message.message_id)
            start = take_start(key, task.policy.rate) if row is not None and task.policy.rate is not None else None
            return None if row is None else claim_from(row, start=start)
        # Whoever is running now looks for the next one when it ends; the clock does so for a rate.
        unlocked(_waiting(message)).update(state=TaskRun.State.PENDING)
        plan_look(key)
        return None


def _has_start(task: Declaration, *, key: str) -> bool:
    return task.policy.rate is None or next_start(key, task.policy.rate) is None


def _has_slot(message: dramatiq.Message[Any], task: Declaration, *, key: str) -> bool:
    most = task.policy.max_concurrency
    return most is None or _count_others(message, task, key=key) < most


def _count_others(message: dramatiq.Message[Any], task: Declaration, *, key: str) -> int:
    """Count the limit's other running runs, those included that had no limit, or no key, when they were sent."""
    counted = Q(limit_key=key) | Q(limit_key__in=("", task.name), task=task.name)
    running = TaskRun.objects.filter(counted, state=TaskRun.State.RUNNING)
    return running.exclude(id=message.message_id).count()


def _put_back_if_paused(message: dramatiq.Message[Any]) -> None:
    with transaction.atomic():
        paused = _waiting(message).filter(queue__in=PausedQueue.objects.values("queue"))
        unlocked(paused).update(state=TaskRun.State.PENDING)


def _waiting(message: dramatiq.Message[Any]) -> QuerySet[TaskRun]:
    return TaskRun.objects.filter(id=message.message_id, attempts=message.options["attempt"], state__in=TaskRun.WAITING)

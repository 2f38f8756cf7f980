"""The two statements around an attempt: the claim that makes it this worker's, and its outcome.

Both name the attempt's number and the worker, so that a worker whose claim was given to another one cannot
overwrite what that one records.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import dramatiq
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from project.tasks.cause import Cause
from project.tasks.errors import TaskCancelled
from project.tasks.models import TaskAttempt, TaskRun
from project.tasks.policy import Policy

T = TypeVar("T")
log = structlog.get_logger(__name__)

#: Set when the process is told to stop: nobody insists any longer.
stopping = threading.Event()
#: Seconds between two tries while the database does not answer.
_PAUSE = 0.5

_CLAIM = """
    UPDATE tasks_taskrun
       SET state = 'running', attempts = attempts + 1, worker_id = %(worker)s,
           started_at = clock_timestamp(), finished_at = NULL, progress = NULL, progress_note = ''
     WHERE id = %(id)s
       AND (state IN ('pending', 'queued', 'retrying') AND attempts = %(attempt)s
            AND run_after <= clock_timestamp()
            AND (expires_at IS NULL OR expires_at > clock_timestamp())
            OR state = 'running' AND attempts = %(attempt)s + 1 AND worker_id = %(worker)s)
 RETURNING task, arguments, source, user_id, request_id, started_at
"""
_SUCCEED = """
    UPDATE tasks_taskrun
       SET state = 'succeeded', finished_at = clock_timestamp(), result = %(result)s,
           error_type = '', error = '', traceback = '', fingerprint = ''
     WHERE id = %(id)s AND state = 'running' AND attempts = %(attempt)s AND worker_id = %(worker)s
"""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A run that this worker, and no other, may execute now."""

    run_id: UUID
    worker_id: UUID
    attempt: int
    task: str
    arguments: dict[str, Any]
    cause: Cause
    started_at: datetime


class _ThisWorker:
    """The id under which this process claims; set when a worker boots."""

    id = UUID(int=0)


this_worker = _ThisWorker()


def claim_run(message: dramatiq.Message[Any]) -> Claim | None:
    """Claim the run of a delivered message for this worker.

    Returns:
        The claim; None if the message is a duplicate, or its run is cancelled, expired or somebody else's.
    """
    values = {"id": message.message_id, "attempt": message.options["attempt"], "worker": this_worker.id}
    row = insist(lambda: _fetch_one(_CLAIM, values))
    if row is None:
        log.info("message_skipped", run_id=message.message_id, reason="duplicate, or its run is no longer waiting")
        return None
    return Claim(
        run_id=UUID(message.message_id),
        worker_id=this_worker.id,
        attempt=message.options["attempt"] + 1,
        task=row[0],
        arguments=json.loads(row[1]),
        cause=Cause(source=row[2], user_id=row[3], request_id=row[4]),
        started_at=row[5],
    )


def record_success(claim: Claim, result: Any) -> bool:
    """Record that the attempt succeeded; return False if the run is no longer this worker's.

    Raises:
        DataError: If PostgreSQL cannot store the result.
    """
    values = {**_mine(claim), "result": json.dumps(result)}
    with connection.cursor() as cursor:
        cursor.execute(_SUCCEED, values)
        return cursor.rowcount == 1


def record_failure(claim: Claim, error: BaseException, *, policy: Policy) -> str:
    """Record that the attempt raised; return the state its run is in now.

    Args:
        claim: The attempt.
        error: What it raised.
        policy: Decides whether there is another attempt, and when.
    """
    with transaction.atomic():
        mine = TaskRun.objects.select_for_update().filter(state=TaskRun.State.RUNNING, **_filters(claim))
        run = mine.first()
        if run is None:
            return "outcome_dropped"
        _describe(run, error)
        _decide(run, error, policy=policy)
        _keep_attempt(run, started_at=claim.started_at)
        run.save()
    return run.state


def insist(operation: Callable[[], T]) -> T:
    """Repeat ``operation`` until the database answers: an outcome must not be lost to its restart.

    Raises:
        OperationalError: If the process is told to stop while the database is away; the run is then taken
            over by another worker.
    """
    while True:
        try:
            return operation()
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if stopping.is_set():
                raise
            log.warning("database_unreachable", error=str(error).strip(), cure="trying again until it answers")
            stopping.wait(_PAUSE)


def fingerprint_of(error: BaseException, *, task: str) -> str:
    """Return a short hash that is the same for failures of one kind: task, type, innermost own frame."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if frame.filename.startswith(str(settings.BASE_DIR)) and "/.venv/" not in frame.filename
    ]
    place = f"{own[-1].filename}:{own[-1].name}" if own else ""
    return hashlib.sha256(f"{task}|{type(error).__qualname__}|{place}".encode()).hexdigest()[:16]


def _describe(run: TaskRun, error: BaseException) -> None:
    run.failures += 1
    run.error_type = type(error).__qualname__
    # PostgreSQL stores no NUL in text.
    run.error = str(error).replace("\x00", "\\x00")
    run.traceback = "".join(traceback.format_exception(error)).replace("\x00", "\\x00")
    run.fingerprint = fingerprint_of(error, task=run.task)
    run.finished_at = timezone.now()


def _decide(run: TaskRun, error: BaseException, *, policy: Policy) -> None:
    retry_at = policy.retry_at(error, failures=run.failures)
    if isinstance(error, TaskCancelled):
        run.state = TaskRun.State.CANCELLED
    elif retry_at is None:
        run.state = TaskRun.State.DEAD
    else:
        run.state, run.run_after = TaskRun.State.RETRYING, retry_at


def _keep_attempt(run: TaskRun, *, started_at: datetime) -> None:
    TaskAttempt.objects.create(
        run=run,
        number=run.attempts,
        worker=f"{socket.gethostname()}:{this_worker.id}",
        started_at=started_at,
        error_type=run.error_type,
        error=run.error,
        traceback=run.traceback,
    )


def _mine(claim: Claim) -> dict[str, Any]:
    return {"id": claim.run_id, "attempt": claim.attempt, "worker": claim.worker_id}


def _filters(claim: Claim) -> dict[str, Any]:
    return {"id": claim.run_id, "attempts": claim.attempt, "worker_id": claim.worker_id}


def _fetch_one(sql: str, values: dict[str, Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row

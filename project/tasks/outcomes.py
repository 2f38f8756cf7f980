"""What became of an attempt, recorded on its run.

Each statement names the attempt and the worker, so that a worker whose claim was given to another one cannot
overwrite what that one records.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import traceback
from datetime import UTC, datetime

from django.conf import settings
from django.db import DataError, transaction
from django.utils import timezone

from project.tasks.chains import send_next_step
from project.tasks.claims import Claim
from project.tasks.errors import PermanentError, TaskCancelled
from project.tasks.ledger import Success, ledger, write
from project.tasks.models import TaskAttempt, TaskRun
from project.tasks.persistence import insist
from project.tasks.policy import Policy


def record_success(claim: Claim, result: str, *, policy: Policy) -> None:
    """Record that the attempt succeeded: soon, together with others, or at once if a next step is to be sent.

    Args:
        claim: The attempt.
        result: What the task returned, as JSON text.
        policy: Decides what follows if the database cannot store the result.
    """

    def refused(error: DataError) -> None:
        reason = PermanentError(f"The database cannot store its result: {error}")
        record_failure(claim, reason, policy=policy)

    success = Success(claim, result, refused)
    if not claim.next_steps:
        ledger.succeed(success)
        return
    try:
        insist(lambda: _succeed_and_go_on(success))
    except DataError as error:
        refused(error)


def _succeed_and_go_on(success: Success) -> None:
    with transaction.atomic():
        if write([], [success]).kept:
            send_next_step(success.claim, json.loads(success.result))


def record_failure(claim: Claim, error: BaseException, *, policy: Policy) -> str:
    """Record that the attempt raised; return the state its run is in now.

    Args:
        claim: The attempt.
        error: What it raised.
        policy: Decides whether there is another attempt, and when.
    """
    return insist(lambda: _fail(claim, error, policy=policy))


def fingerprint_of(error: BaseException, *, task: str) -> str:
    """Return a short hash that is the same for failures of one kind: task, type, innermost own frame."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    place = f"{own[-1].filename}:{own[-1].name}" if own else ""
    return hashlib.sha256(f"{task}|{type(error).__qualname__}|{place}".encode()).hexdigest()[:16]


def _fail(claim: Claim, error: BaseException, *, policy: Policy) -> str:
    with transaction.atomic():
        run = (
            TaskRun.objects.select_for_update()
            .filter(id=claim.run_id, attempts=claim.attempt, worker_id=claim.worker_id, state=TaskRun.State.RUNNING)
            .first()
        )
        if run is None:
            return "outcome_dropped"
        _describe(run, error)
        _decide(run, error, policy=policy)
        run.save()
        _keep_attempt(run, claim)
    return run.state


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


def _keep_attempt(run: TaskRun, claim: Claim) -> None:
    TaskAttempt.objects.create(
        run=run,
        number=run.attempts,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        started_at=datetime.fromtimestamp(claim.started_at, UTC),
        error_type=run.error_type,
        error=run.error,
        traceback=run.traceback,
    )


def _is_own(filename: str) -> bool:
    return filename.startswith(str(settings.BASE_DIR)) and "site-packages" not in filename

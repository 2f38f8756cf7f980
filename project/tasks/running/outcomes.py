"""What became of an attempt, recorded on its run.

Each statement names the attempt and the worker, so that a worker whose claim was given to another one cannot
overwrite what that one records.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.db import DataError, transaction
from django.db import Error as DatabaseError
from django.db.models.functions import Now

from project.tasks.errors import Misfit, NoStartFree, PermanentError, Postponed, RetryLater, TaskCancelled
from project.tasks.models import TaskAttempt, TaskRun
from project.tasks.policy import Policy
from project.tasks.running.claim import Claim
from project.tasks.running.claim_statement import Success, claim_and_succeed
from project.tasks.running.database import insist, stopping
from project.tasks.running.group_commit import group_commit
from project.tasks.sending.callbacks import send_next_step
from project.values.described import Described, describe
from project.values.storable import storable
from project.values.text import error_text, utc

log = structlog.get_logger(__name__)

#: What became of an outcome whose run another worker has.
_DROPPED = "outcome_dropped"


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

    success = Success(
        run_id=claim.run_id,
        attempt=claim.attempt,
        worker_id=claim.worker_id,
        result=result,
        started_at=claim.started_at,
        finished_at=claim.now(),
        refused=refused,
    )
    if not claim.next_steps:
        group_commit.succeed(success)
        return
    try:
        if not insist(lambda: _succeed_and_go_on(claim, success)) and group_commit.restore(claim):
            insist(lambda: _succeed_and_go_on(claim, success))
    except DataError as error:
        refused(error)
    except Exception as error:
        if _is_left_to_others(error):
            raise
        # Nothing of the success was written, and the run still has its next steps: a retry goes on with them.
        reason = PermanentError(f"It succeeded, but its next step cannot be sent: {_in_a_line(error, claim)}")
        record_failure(claim, reason, policy=policy)


def _succeed_and_go_on(claim: Claim, success: Success) -> bool:
    with transaction.atomic():
        has_succeeded = success.run_id in claim_and_succeed([], [success]).succeeded
        if has_succeeded:
            send_next_step(claim.next_steps, json.loads(success.result))
    return has_succeeded


def record_failure(claim: Claim, error: BaseException, *, policy: Policy) -> str:
    """Record that the attempt raised; return the state its run is in now.

    Args:
        claim: The attempt.
        error: What it raised.
        policy: Decides whether there is another attempt, and when.
    """
    described = describe(error, task=claim.task)

    def fail() -> str:
        return insist(lambda: _fail(claim, error, described, lambda run: _decide(run, error, policy=policy)))

    try:
        state = fail()
        return fail() if state == _DROPPED and group_commit.restore(claim) else state
    except Exception as broken:
        if _is_left_to_others(broken):
            raise
        # Left as it is, the run would be executed again and again, until it looked as if it killed its workers.
        log.exception("failure_not_recorded", run_id=str(claim.run_id), cure="correct the task's policy, then retry it")
        described = described.adding(f"What follows from that could not be decided: {_in_a_line(broken, claim)}")
        return insist(lambda: _fail(claim, error, described, _make_dead))


def _fail(claim: Claim, error: BaseException, described: Described, decide: Callable[[Any], None]) -> str:
    with transaction.atomic():
        run: Any = (
            TaskRun.objects.select_for_update()
            .annotate(now=Now())
            .filter(id=claim.run_id, attempts=claim.attempt, worker_id=claim.worker_id, state=TaskRun.State.RUNNING)
            .first()
        )
        if run is None:
            return _DROPPED
        run.error, run.traceback, run.fingerprint = described.error, described.traceback, described.fingerprint
        run.started_at, run.finished_at = datetime.fromtimestamp(claim.started_at, UTC), run.now
        decide(run)
        run.error_type = described.error_type
        run.save()
        # A task may put itself off ten thousand times; the run counts them, and keeps no attempt for each.
        if not isinstance(error, (RetryLater, NoStartFree)):
            _keep_attempt(run, claim)
    return str(run.state)


def _decide(run: Any, error: BaseException, *, policy: Policy) -> None:
    if isinstance(error, NoStartFree):
        # Its time stays what it was, so that nobody who came later overtakes it.
        run.state = TaskRun.State.RETRYING
        return
    if isinstance(error, Postponed):
        wait = _postpone(run, error, policy=policy)
    else:
        run.failures += 1
        wait = policy.retry_in(error, failures=run.failures)
    # Who asked for it to stop wants no other attempt, whatever it raised before it heard of that.
    if isinstance(error, TaskCancelled) or (run.cancel_requested and wait is not None):
        run.state = TaskRun.State.CANCELLED
    elif wait is None:
        run.state = TaskRun.State.DEAD
    else:
        run.state, run.run_after = TaskRun.State.RETRYING, run.now + wait


def _postpone(run: Any, error: Postponed, *, policy: Policy) -> timedelta | None:
    was_misfit, is_misfit = run.error_type == Misfit.__name__, isinstance(error, Misfit)
    if run.postponed_since is None or was_misfit != is_misfit:
        # To wait for another system and to wait for a roll-out have a limit each.
        run.postponed_since = run.now
    run.postponements += 1
    so_far = run.now - run.postponed_since
    wait = policy.postpone_for(error, times=run.postponements, so_far=so_far)
    if wait is None:
        run.error += f"\nIt has been put off since {utc(run.postponed_since)}: no longer."
    return wait


def _is_left_to_others(error: Exception) -> bool:
    """Tell whether the process is told to stop while the database is away, so that another worker takes the run."""
    return isinstance(error, DatabaseError) and stopping.is_set()


def _make_dead(run: Any) -> None:
    run.failures += 1
    run.state = TaskRun.State.DEAD


def _in_a_line(error: BaseException, claim: Claim) -> str:
    described = describe(error, task=claim.task)
    return error_text(described.error_type, described.error)


def _keep_attempt(run: TaskRun, claim: Claim) -> None:
    TaskAttempt.objects.create(
        run=run,
        number=run.attempts,
        worker=storable(f"{socket.gethostname()}:{os.getpid()}", 200),
        started_at=datetime.fromtimestamp(claim.started_at, UTC),
        error_type=run.error_type,
        error=run.error,
        traceback=run.traceback,
    )

"""What operators do to runs: cancel, retry, discard. Every one is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction

from project.database.clock import database_now
from project.tasks.declaration import declaration_of
from project.tasks.errors import RunStateError
from project.tasks.models import TaskRun
from project.tasks.repair.audit import Operator, record
from project.tasks.sending.cancelling import cancel_locked
from project.tasks.sending.outbox import publish_on_commit
from project.values.described import message_in

K = TypeVar("K")
#: States from which a run can be tried again.
RETRYABLE = (TaskRun.State.DEAD, TaskRun.State.CANCELLED, TaskRun.State.EXPIRED, TaskRun.State.DISCARDED)


def cancel(run_id: UUID, *, by: Operator, reason: str = "") -> TaskRun:
    """Keep a waiting run from starting, or have TaskCancelled raised in a running one.

    Raises:
        TaskRun.DoesNotExist: If there is no such run.
        RunStateError: If it has ended.
    """
    with transaction.atomic():
        run = TaskRun.objects.select_for_update().get(id=run_id)
        before = run.state
        cancel_locked(run)
        record("cancel", target=str(run_id), by=by, reason=reason, before={"state": before}, after=_seen(run))
    return run


def retry(run_id: UUID, *, by: Operator, reason: str = "", arguments: Mapping[str, Any] | None = None) -> TaskRun:
    """Try a run again that has ended without a result.

    Args:
        run_id: The run.
        by: Who wants it.
        reason: Why.
        arguments: Other arguments, by name; None keeps the old ones.

    Raises:
        TaskRun.DoesNotExist: If there is no such run.
        RunStateError: If it has not ended, has succeeded, or another run has its unique key.
        TaskArgumentError: If the arguments do not fit the task.
        UnknownTaskError: If this checkout does not know the task.
    """
    with transaction.atomic():
        run = _locked(run_id, allowed=RETRYABLE, action="retried")
        before = {"state": run.state, "arguments": run.arguments}
        try_again(run, arguments=run.arguments if arguments is None else arguments, now=database_now())
        after = {"state": run.state, "arguments": run.arguments}
        record("retry", target=str(run_id), by=by, reason=reason, before=before, after=after)
    return run


def try_again(run: TaskRun, *, arguments: Mapping[str, Any], now: datetime) -> None:
    """Make a run ready that has ended, and publish it on commit; the caller has locked its row and records why.

    Args:
        run: The run; locked.
        arguments: Its arguments by name, as JSON values.
        now: The database's time.

    Raises:
        RunStateError: If another run has its unique key, or that cannot be told.
        TaskArgumentError: If the arguments do not fit the task.
        UnknownTaskError: If this checkout does not know the task.
    """
    task = declaration_of(run.task)
    valid = task.signature.to_json((), arguments)
    if valid != run.arguments or run.unique_key is None:
        run.arguments = valid
        run.unique_key = _key_of(run, "unique", lambda: task.policy.unique_key(run.task, valid))
    run.limit_key = _key_of(run, "limit", lambda: task.limit_key(valid))
    _make_ready(run, now=now)
    _save_unless_taken(run)
    publish_on_commit([run])


def discard(run_id: UUID, *, by: Operator, reason: str = "") -> TaskRun:
    """Take a dead run off the list of what needs attention.

    Raises:
        TaskRun.DoesNotExist: If there is no such run.
        RunStateError: If it is not dead.
    """
    with transaction.atomic():
        run = _locked(run_id, allowed=(TaskRun.State.DEAD,), action="discarded")
        run.state = TaskRun.State.DISCARDED
        run.save(update_fields=["state"])
        record("discard", target=str(run_id), by=by, reason=reason, before={"state": "dead"}, after=_seen(run))
    return run


def _locked(run_id: UUID, *, allowed: tuple[TaskRun.State, ...], action: str) -> TaskRun:
    run = TaskRun.objects.select_for_update().get(id=run_id)
    if run.state not in allowed:
        raise RunStateError(f"Run {run_id} is {run.state}: only {', '.join(allowed)} runs can be {action}.")
    return run


def _make_ready(run: TaskRun, *, now: datetime) -> None:
    run.state = TaskRun.State.PENDING if run.limit_key else TaskRun.State.QUEUED
    run.run_after = run.published_at = now
    run.finished_at = run.expires_at = run.progress = None
    run.failures = run.deaths = run.postponements = 0
    run.postponed_since = run.waits_for_key = None
    run.cancel_requested = False
    run.error_type = run.error = run.traceback = run.fingerprint = run.progress_note = ""


def _key_of(run: TaskRun, kind: str, compute: Callable[[], K]) -> K:
    try:
        return compute()
    except Exception as error:  # the policy's own function may raise anything
        raise RunStateError(f"Run {run.id} cannot be retried: its {kind} key raised {message_in(error)!r}.") from error


def _save_unless_taken(run: TaskRun) -> None:
    try:
        with transaction.atomic():
            run.save()
    except IntegrityError:
        raise RunStateError(
            f"Run {run.id} cannot be retried now: an unfinished run has its unique key {run.unique_key!r}."
        ) from None


def _seen(run: TaskRun) -> dict[str, Any]:
    return {"state": run.state, "cancel_requested": run.cancel_requested}

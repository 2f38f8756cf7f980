"""Batches: many runs sent together, and one callback when the last of them has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Count, Exists, OuterRef
from django.db.models.functions import Now

from project.database.one_by_one import one_by_one
from project.tasks.ids import uuid7
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.sending.callbacks import bury, send_or_bury
from project.tasks.sending.cause import Cause, caused_by, current_cause
from project.tasks.sending.sending import Call, Options, send_runs
from project.values.storable import storable


@dataclass(frozen=True, kw_only=True)
class BatchProgress:
    """How far a batch has come, in runs."""

    total: int
    succeeded: int
    failed: int

    @property
    def unfinished(self) -> int:
        """How many have not ended yet."""
        return self.total - self.succeeded - self.failed


@dataclass(frozen=True)
class Batch:
    """A batch that was sent.

    Args:
        id: Its row.
    """

    id: UUID

    @classmethod
    def send(
        cls,
        calls: Sequence[Call[Any]],
        *,
        then: Call[Any] | None = None,
        on_failure: Call[Any] | None = None,
        name: str = "",
        batch_id: UUID | None = None,
    ) -> Batch:
        """Send many calls, with one INSERT and one pipeline, and one callback when all have ended.

        Each call is a run of its own. One that is unique, while another run has its key, waits until that has ended.

        Args:
            calls: The members; of durable tasks.
            then: Sent when the last member has ended; if some have failed and `on_failure` is given, that is
                sent in its place.
            on_failure: Sent when the last member has ended and at least one has not succeeded.
            name: What operators see.
            batch_id: The row's id, for callbacks that take it as an argument.

        Raises:
            ValueError: If a member's or callback's task is not durable.
        """
        if not all(call.task.durable for call in [*calls, then, on_failure] if call is not None):
            raise ValueError("A batch consists of durable tasks: the others leave no row to count.")
        row = TaskBatch(
            id=batch_id or uuid7(),
            name=storable(name, 100),
            total=len(calls),
            then=_stored(then),
            on_failure=_stored(on_failure),
        )
        with transaction.atomic(savepoint=False):
            row.save(force_insert=True)
            send_runs(calls, Options(), or_wait=True, batch_id=row.id)
        return cls(row.id)

    def progress(self) -> BatchProgress:
        """Count the members by how they ended."""
        states = dict(TaskRun.objects.filter(batch=self.id).values_list("state").annotate(runs=Count("id")).order_by())
        total = TaskBatch.objects.values_list("total", flat=True).get(id=self.id)
        unfinished = sum(states.get(state, 0) for state in TaskRun.UNFINISHED)
        succeeded = states.get(TaskRun.State.SUCCEEDED, 0)
        return BatchProgress(total=total, succeeded=succeeded, failed=total - unfinished - succeeded)


def settle_batches() -> int:
    """Send the callback of each batch whose members have all ended; return how many.

    The batch's row is locked, marked and its callback's row inserted in one transaction: exactly one callback
    however many processes do this. A callback that cannot be sent is a dead run.

    Raises:
        ExceptionGroup: If some batches could not be settled; the others are.
    """
    members = TaskRun.objects.filter(batch=OuterRef("id"))
    ended = TaskBatch.objects.filter(finished_at=None).exclude(Exists(members.filter(state__in=TaskRun.UNFINISHED)))
    return one_by_one("batch", list(ended.values_list("id", flat=True)[:100]), _settle)


def _settle(batch_id: UUID) -> bool:
    with transaction.atomic():
        batch = TaskBatch.objects.select_for_update(skip_locked=True).filter(id=batch_id, finished_at=None).first()
        if batch is None:
            return False
        batch.callback_id = _send_callback(batch)
        TaskBatch.objects.filter(id=batch_id).update(finished_at=Now(), callback_id=batch.callback_id)
    return True


def _send_callback(batch: TaskBatch) -> UUID | None:
    failed = Batch(batch.id).progress().failed
    stored = batch.on_failure if failed and batch.on_failure else batch.then
    if stored is None:
        return None
    name, arguments, run_id = str(stored.get("task", "")), stored.get("arguments", {}), uuid7()
    cause = Cause(source="task", user_id=stored.get("user_id"), request_id=stored.get("request_id", ""))
    with caused_by(cause):
        try:
            with transaction.atomic():
                return send_or_bury(name, arguments, run_id=run_id, queue=stored.get("queue", "default"))
        except (OperationalError, InterfaceError):
            raise  # the database's trouble, which passes
        except DatabaseError as error:
            bury(name, error, arguments=arguments, run_id=run_id)
    return run_id


def _stored(call: Call[Any] | None) -> dict[str, Any] | None:
    if call is None:
        return None
    cause = current_cause()
    return {
        "task": call.task.actor_name,
        "queue": call.task.queue_name,
        "arguments": dict(call.arguments),
        "user_id": cause.user_id,
        "request_id": cause.request_id,
    }

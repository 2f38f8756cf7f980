"""Batches: many runs sent together, and one callback when the last of them has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count

from project.tasks.declaration import Call
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.sending.cause import current_cause
from project.tasks.sending.options import Options
from project.tasks.sending.sending import send_runs
from project.values.ids import uuid7
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


def _stored(call: Call[Any] | None) -> dict[str, Any] | None:
    if call is None:
        return None
    cause = current_cause()
    return {
        "task": call.task.name,
        "queue": call.task.queue,
        "arguments": dict(call.arguments),
        "user_id": cause.user_id,
        "request_id": cause.request_id,
    }

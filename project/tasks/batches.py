"""Batches: many runs sent together, and one callback when the last of them has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeAlias, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Count
from typing_extensions import TypeVar  # the one with defaults, before Python 3.13

from project.tasks.declaration import Call, declaration_of
from project.tasks.errors import ResultTimeout, ResultUnavailable, TaskDefinitionError, WaitInTask
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.outcome import Awaited, Outcome
from project.tasks.running.members import outcomes_of_batch
from project.tasks.sending.cause import current_cause
from project.tasks.sending.in_task import is_in_task
from project.tasks.sending.message import growing_pauses
from project.tasks.sending.options import Options
from project.tasks.sending.sending import send_runs
from project.values.deadline import Deadline
from project.values.ids import uuid7, uuid7_series
from project.values.storable import storable

T = TypeVar("T")
#: Those that do not say what the members return, such as `Batch(id)`, return anything.
R_co = TypeVar("R_co", covariant=True, default=Any)
#: What is sent when a batch has ended: a call, or a task that takes what became of the members.
Callback: TypeAlias = Call[Any] | Callable[[list[Outcome[T]]], Any]


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
class Batch(Generic[R_co]):
    """A batch that was sent.

    Args:
        id: Its row.
    """

    id: UUID

    @classmethod
    def send(
        cls,
        calls: Sequence[Call[T]],
        *,
        then: Callback[T] | None = None,
        on_failure: Callback[T] | None = None,
        name: str = "",
        batch_id: UUID | None = None,
    ) -> Batch[T]:
        """Send many calls, with one INSERT and one pipeline, and one callback when all have ended.

        Each call is a run of its own. One that is unique, while another run has its key, waits until that has ended.

        Args:
            calls: The members; of durable tasks.
            then: Sent when the last member has ended; if some have failed and `on_failure` is given, that is
                sent in its place. A call; or a task whose one argument is a `list[Outcome[R]]`: it gets what became
                of each member, in the order of the calls. `outcomes_of(calls)` stands for that in a call with more
                arguments.
            on_failure: Sent when the last member has ended and at least one has not succeeded.
            name: What operators see.
            batch_id: The row's id, for callbacks that take it as an argument.

        Raises:
            ValueError: If a member's or callback's task is not durable.
            TaskDefinitionError: If a callback is neither a call nor a task.
        """
        batch_id = batch_id or uuid7()
        then, on_failure = _call_of(then, calls), _call_of(on_failure, calls)
        if not all(call.task.durable for call in [*calls, then, on_failure] if call is not None):
            raise ValueError("A batch consists of durable tasks: the others leave no row to count.")
        row = TaskBatch(
            id=batch_id,
            name=storable(name, 100),
            total=len(calls),
            then=_stored(then, batch_id),
            on_failure=_stored(on_failure, batch_id),
        )
        with transaction.atomic(savepoint=False):
            row.save(force_insert=True)
            send_runs(calls, Options(), or_wait=True, ids=uuid7_series(len(calls)), batch_id=row.id)
        return cast("Batch[T]", cls(row.id))

    def progress(self) -> BatchProgress:
        """Count the members by how they ended."""
        states = dict(TaskRun.objects.filter(batch=self.id).values_list("state").annotate(runs=Count("id")).order_by())
        total = TaskBatch.objects.values_list("total", flat=True).get(id=self.id)
        unfinished = sum(states.get(state, 0) for state in TaskRun.UNFINISHED)
        succeeded = states.get(TaskRun.State.SUCCEEDED, 0)
        return BatchProgress(total=total, succeeded=succeeded, failed=total - unfinished - succeeded)

    def results(self, timeout: float | timedelta = 10) -> list[Outcome[R_co]]:
        """Wait until every member has ended and return what became of each, in the order of the calls.

        Args:
            timeout: Seconds, or a timedelta, to wait at most.

        Raises:
            ResultTimeout: If they have not all ended in time; they go on.
            ResultUnavailable: If there is no such batch.
            WaitInTask: If a task would wait, with a thread that the members may need.
        """
        deadline, pauses = Deadline.after(timeout), growing_pauses()
        while unfinished := self._unfinished():
            self._check_may_wait(unfinished, deadline)
            time.sleep(min(next(pauses), deadline.left))
        return outcomes_of_batch(self.id)

    async def aresults(self, timeout: float | timedelta = 10) -> list[Outcome[R_co]]:
        """Wait as `results` does, without blocking the event loop."""
        deadline, pauses = Deadline.after(timeout), growing_pauses()
        while unfinished := await sync_to_async(self._unfinished)():
            self._check_may_wait(unfinished, deadline)
            await asyncio.sleep(min(next(pauses), deadline.left))
        return await sync_to_async(outcomes_of_batch)(self.id)

    def _unfinished(self) -> int:
        try:
            return self.progress().unfinished
        except TaskBatch.DoesNotExist:
            raise ResultUnavailable(f"No batch {self.id}: it was never sent, or was pruned.") from None

    def _check_may_wait(self, unfinished: int, deadline: Deadline) -> None:
        if not deadline.left:
            state = f"unfinished in {unfinished} members"
            raise ResultTimeout(run_id=self.id, state=state, waited=deadline.timeout)
        if is_in_task():
            raise WaitInTask(self.id)


def outcomes_of(_calls: Sequence[Call[T]]) -> list[Outcome[T]]:
    """Stand for what will become of calls, as in `Batch.send(calls, then=done.call(outcomes_of(calls), week=46))`.

    Args:
        _calls: The members of the batch; only their type matters.
    """
    return Awaited()


def _call_of(callback: Callback[Any] | None, calls: Sequence[Call[Any]]) -> Call[Any] | None:
    if callback is None or isinstance(callback, Call):
        return callback
    name = getattr(callback, "actor_name", None)
    if name is None:
        raise TaskDefinitionError(f"{callback!r} cannot be a callback: give a call, or a task that takes outcomes.")
    task = declaration_of(name)
    return Call(task, task.signature.to_json([outcomes_of(calls)], {}))


def _stored(call: Call[Any] | None, batch_id: UUID) -> dict[str, Any] | None:
    if call is None:
        return None
    cause = current_cause()
    members = {name: {"batch": str(batch_id)} for name in call.task.signature.outcomes if name in call.arguments}
    return {
        "task": call.task.name,
        "queue": call.task.queue,
        "arguments": call.arguments | members,
        "user_id": cause.user_id,
        "request_id": cause.request_id,
    }

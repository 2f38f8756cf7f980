"""A message whose result has the type the task declares."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Never, NoReturn, TypeVar, cast
from uuid import UUID

import dramatiq
import structlog
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from project.tasks.declaration import Declaration, declaration_of
from project.tasks.errors import (
    OtherWayError,
    ResultTimeout,
    ResultUnavailable,
    TaskFailed,
    UnknownRunError,
    WaitInTask,
)
from project.tasks.models import TaskRun
from project.tasks.sending.cancelling import cancel_locked
from project.tasks.sending.in_task import is_in_task
from project.tasks.sending.outbox import awaits_commit, parts_of_message
from project.tasks.sending.refused import COMPOSED, Refused
from project.values.deadline import Deadline
from project.values.text import error_text

R_co = TypeVar("R_co", covariant=True)
log = structlog.get_logger(__name__)

#: Seconds between two looks at the row: short at first, because most runs end within milliseconds; longer later, so
#: that many callers who wait do not keep the database busy.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.25
#: How many times longer each pause is than the one before.
_GROWTH = 1.5


def growing_pauses() -> Iterator[float]:
    """Yield how many seconds to wait before each further look."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


class Message(dramatiq.Message[R_co]):
    """What sending a task returns: the key to its run and to its result."""

    get_result: Refused = Refused(".result(timeout=…)")  # type: ignore[assignment]
    #: What `dramatiq.pipeline` calls.
    copy: Refused = Refused(COMPOSED)  # type: ignore[assignment]

    def __or__(self, other: Never) -> NoReturn:
        """Refuse to make a pipeline: what was sent is on its way.

        Raises:
            OtherWayError: Always.
        """
        raise OtherWayError(self.actor_name, "|", COMPOSED)

    @property
    def run_id(self) -> UUID:
        """The id of the run's row."""
        return UUID(self.message_id)

    @property
    def status(self) -> TaskRun.State:
        """The run's state now.

        Raises:
            UnknownRunError: If there is no such run, or not yet.
        """
        return TaskRun.State(self._run().state)

    @property
    def ready(self) -> bool:
        """Whether the run has ended, however it did."""
        return self.status in TaskRun.ENDED

    @property
    def successful(self) -> bool:
        """Whether the run has ended with a result."""
        return self.status == TaskRun.State.SUCCEEDED

    def cancel(self) -> None:
        """Keep the run from starting, or have TaskCancelled raised in it: it stops within seconds.

        Raises:
            UnknownRunError: If there is no such run.
            RunStateError: If it has ended.
        """
        with transaction.atomic():
            run = TaskRun.objects.select_for_update().filter(id=self.run_id, task=self.actor_name).first()
            if run is None:
                raise self._unknown()
            cancel_locked(run)
        log.info("run_cancelled", task=self.actor_name, run_id=self.message_id, was_running=run.cancel_requested)

    def result(self, timeout: float | timedelta = 10) -> R_co:
        """Wait until the run has ended and return what the task returned.

        Args:
            timeout: Seconds, or a timedelta, to wait at most.

        Raises:
            TaskFailed: If the run ended without a result.
            ResultTimeout: If it has not ended in time; it goes on.
            ResultUnavailable: If there is nothing to wait for.
            WaitInTask: If a task would wait, with a thread that the run may need.
        """
        deadline, pauses = Deadline.after(timeout), growing_pauses()
        while (run := self._run_to_wait_for()).state in TaskRun.UNFINISHED:
            self._check_may_wait(run, deadline)
            time.sleep(min(next(pauses), deadline.left))
        return self._outcome(run)

    async def aresult(self, timeout: float | timedelta = 10) -> R_co:
        """Wait as `result` does, without blocking the event loop."""
        deadline, pauses = Deadline.after(timeout), growing_pauses()
        while (run := await sync_to_async(self._run_to_wait_for)()).state in TaskRun.UNFINISHED:
            self._check_may_wait(run, deadline)
            await asyncio.sleep(min(next(pauses), deadline.left))
        return self._outcome(run)

    def _run(self) -> TaskRun:
        run = TaskRun.objects.filter(id=self.run_id).only("state", "result", "error_type", "error").first()
        if run is None:
            raise self._unknown()
        return run

    def _unknown(self) -> UnknownRunError:
        return UnknownRunError(
            f"No run {self.run_id}: task {self.actor_name!r} keeps no row, its transaction was rolled back, or it was "
            "pruned."
        )

    def _run_to_wait_for(self) -> TaskRun:
        run = self._run()
        if connection.in_atomic_block and awaits_commit(self.run_id):
            raise ResultUnavailable(
                f"Run {self.run_id} cannot start before the transaction that sent it commits: wait outside of it."
            )
        return run

    def _check_may_wait(self, run: TaskRun, deadline: Deadline) -> None:
        """Raise if there is no time left to wait for an unfinished run, or if a task would wait."""
        if not deadline.left:
            raise ResultTimeout(run_id=run.id, state=run.state, waited=deadline.timeout)
        if is_in_task():
            raise WaitInTask(self.run_id)

    def _outcome(self, run: TaskRun) -> R_co:
        if run.state != TaskRun.State.SUCCEEDED:
            raise TaskFailed(run_id=run.id, state=run.state, reason=error_text(run.error_type, run.error))
        return cast("R_co", declaration_of(self.actor_name).signature.result_from_json(run.result))


def message_of_run(run_id: UUID, *, task: Declaration) -> Message[Any]:
    """Return the message of a run that was sent before.

    Raises:
        UnknownRunError: If there is none, or if it is one of another task.
    """
    run = TaskRun.objects.filter(id=run_id).first()
    if run is None:
        raise UnknownRunError(f"No run of task {task.name!r} has the id {run_id}: it was never sent, or was pruned.")
    if run.task != task.name:
        raise UnknownRunError(f"Run {run_id} is one of task {run.task!r}, not of {task.name!r}.")
    return Message(**parts_of_message(run))

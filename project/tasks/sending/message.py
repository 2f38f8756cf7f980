"""A message whose result has the type the task declares."""

import asyncio
import time
from datetime import timedelta
from typing import Never, NoReturn, TypeVar, cast
from uuid import UUID

import dramatiq
from asgiref.sync import sync_to_async
from django.db import connection

from project.tasks.declaration import declaration_of
from project.tasks.errors import OtherWayError, ResultTimeout, ResultUnavailable, TaskFailed, WaitInTask
from project.tasks.models import TaskRun
from project.tasks.sending.in_task import is_in_task
from project.tasks.sending.outbox import awaits_commit
from project.tasks.sending.refused import COMPOSED, Refused
from project.values.deadline import Deadline
from project.values.text import error_text

R_co = TypeVar("R_co", covariant=True)

#: Seconds between two looks at the row: short at first, because most runs end within milliseconds; longer later, so
#: that many callers who wait do not keep the database busy.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.25
#: How many times longer each pause is than the one before.
_GROWTH = 1.5


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
        deadline, pause = Deadline.after(timeout), _FIRST_PAUSE
        while (run := self._run()).state in TaskRun.UNFINISHED:
            self._check_may_wait(run, deadline)
            time.sleep(min(pause, deadline.left))
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
        return self._outcome(run)

    async def aresult(self, timeout: float | timedelta = 10) -> R_co:
        """Wait as `result` does, without blocking the event loop."""
        deadline, pause = Deadline.after(timeout), _FIRST_PAUSE
        while (run := await sync_to_async(self._run)()).state in TaskRun.UNFINISHED:
            self._check_may_wait(run, deadline)
            await asyncio.sleep(min(pause, deadline.left))
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
        return self._outcome(run)

    def _run(self) -> TaskRun:
        run = TaskRun.objects.filter(id=self.run_id).only("state", "result", "error_type", "error").first()
        if run is None:
            raise ResultUnavailable(
                f"No run {self.run_id}: task {self.actor_name!r} keeps no row, or its transaction was rolled back."
            )
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

"""Whether the event loop of a process goes on, and which run blocks it if not; asked from other threads.

While a coroutine calls something that blocks, nothing else on its loop goes on, and no exception reaches any of them.
They are not to blame for that, however late they are: only the one that is in the middle of a step.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from contextlib import suppress
from datetime import timedelta

import structlog

log = structlog.get_logger(__name__)

#: How long a loop may be busy with one step before somebody is told.
BLOCKED_AFTER = timedelta(seconds=1)


class LoopPulse:
    """Asks an event loop, again and again, whether it goes on.

    Args:
        loop: The loop; its tasks are named after the runs that they belong to.
        thread_id: Where it runs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, thread_id: int) -> None:
        self._loop, self._thread_id = loop, thread_id
        self._asked_at = 0.0
        self._has_answered = True
        self._blocked_since: float | None = None
        #: When it went on again after it had been blocked.
        self._free_since = 0.0

    @property
    def is_blocked(self) -> bool:
        """Whether it did not go on when it was asked last."""
        return self._blocked_since is not None

    def feel(self) -> None:
        """Look whether the loop has gone on since the last call, and ask again."""
        now = time.monotonic()
        if self._has_answered:
            self._free_since = now if self.is_blocked else self._free_since
            self._blocked_since = None
            self._asked_at, self._has_answered = now, False
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._answer)
        elif not self.is_blocked and now - self._asked_at > BLOCKED_AFTER.total_seconds():
            self._blocked_since = self._asked_at
            self._report()

    def overdue_since(self, key: str, *, deadline: float) -> float:
        """Return since when a run should have ended, or have let the loop go on: never, while another one blocks it.

        Args:
            key: The run's name.
            deadline: When its time limit is used up, on the monotonic clock.
        """
        if self._blocked_since is None:
            return max(deadline, self._free_since)
        return self._blocked_since if self._culprit() == key else float("inf")

    def _answer(self) -> None:
        self._has_answered = True

    def _culprit(self) -> str | None:
        task = asyncio.current_task(self._loop)
        return task.get_name() if task else None

    def _report(self) -> None:
        frame = sys._current_frames().get(self._thread_id)
        where = traceback.extract_stack(frame)[-1] if frame else None
        log.warning(
            "event_loop_blocked",
            run_id=self._culprit(),
            where=f"{where.filename}:{where.lineno} in {where.name}" if where else "",
            cure="await what waits, call blocking code by asyncio.to_thread, or write def: nothing else goes on there",
        )

"""Stops a running task from outside: its time limit, a cancellation, a lost claim.

An exception is raised in the task's thread (`PyThreadState_SetAsyncExc`), as Dramatiq's TimeLimit does; but
only while the task's own code runs, so that it can never hit the bookkeeping around it. How it is raised in a coroutine
says `project.tasks.loop.interrupts`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from dramatiq.threading import Interrupt

from project.broker.dramatiq_internals import raise_thread_exception
from project.tasks.errors import TimeLimitExceeded
from project.tasks.running.loop_pulse import LoopPulse
from project.tasks.sending.in_task import in_task

#: How often the deadlines are looked at, and so how late a time limit is enforced.
_LOOK_EVERY = timedelta(milliseconds=100)


def _into_this_thread() -> Callable[[type[Interrupt]], None]:
    return partial(raise_thread_exception, threading.get_ident())


@dataclass
class Running:
    """A task's own code while it runs.

    Args:
        key: The run's id, or the message's.
        deadline: When its time limit is used up, on the monotonic clock.
        give_up: Records that it did not end, before its process is ended.
        throw: Raises an interrupt in it; by default in the calling thread.
        pulse: Of the event loop that it shares with others.
    """

    key: str
    deadline: float
    give_up: Callable[[], object]
    throw: Callable[[type[Interrupt]], None] = field(default_factory=_into_this_thread)
    pulse: LoopPulse | None = None
    interrupted: bool = False

    def overdue_since(self) -> float:
        """Return when it should have ended, or have let the event loop go on, on the monotonic clock."""
        return self.deadline if self.pulse is None else self.pulse.overdue_since(self.key, deadline=self.deadline)


class Interrupts:
    """The tasks that run in this process, and the thread that watches their time limits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}
        self._is_busy = threading.Event()
        self._watch: threading.Thread | None = None

    @contextmanager
    def allowed(
        self, key: str, *, time_limit: timedelta, give_up: Callable[[], object], **reached: Any
    ) -> Iterator[Running]:
        """Let the block be interrupted from outside, and by its time limit.

        Args:
            key: The run's id, or the message's.
            time_limit: How long it may run.
            give_up: Called from another thread, right before the process is ended because the block does not end.
            reached: How a coroutine is reached: `throw` and `pulse` of `Running`.

        Raises:
            Interrupt: Whatever it was interrupted with.
        """
        running = Running(key, time.monotonic() + time_limit.total_seconds(), give_up, **reached)
        self._start_watch()
        with self._lock:
            self._running[key] = running
            if not self._is_busy.is_set():
                self._is_busy.set()
        try:
            with in_task():
                yield running
        finally:
            # Once the entry is gone nobody can interrupt this thread any more.
            with self._lock:
                self._running.pop(key, None)

    def interrupt(self, key: str, error: type[Interrupt]) -> bool:
        """Raise an error in the code of a run.

        Args:
            key: The run's id, or the message's.
            error: What is raised.

        Returns:
            Whether that code runs here and was not interrupted before.
        """
        with self._lock:
            running = self._running.get(key)
            if running is None or running.interrupted:
                return False
            running.interrupted = True
            running.throw(error)
            return True

    def stuck(self, *, after: timedelta) -> list[Running]:
        """Return what still runs so long after its time limit, or has held up an event loop for so long.

        Args:
            after: How long.
        """
        latest = time.monotonic() - after.total_seconds()
        with self._lock:
            everything = list(self._running.values())
        for pulse in {running.pulse for running in everything if running.pulse is not None}:
            pulse.feel()
        return [running for running in everything if running.overdue_since() < latest]

    def _start_watch(self) -> None:
        if self._watch is None or not self._watch.is_alive():
            self._watch = threading.Thread(target=self._enforce_time_limits, name="time-limits", daemon=True)
            self._watch.start()

    def _enforce_time_limits(self) -> None:
        while self._is_busy.wait():
            time.sleep(_LOOK_EVERY.total_seconds())
            now = time.monotonic()
            with self._lock:
                late = [running.key for running in self._running.values() if running.deadline <= now]
                if not self._running:
                    self._is_busy.clear()
            for key in late:
                self.interrupt(key, TimeLimitExceeded)


interrupts = Interrupts()

"""Raises an interrupt inside a coroutine, at the `await` where it waits.

asyncio can only cancel: it raises `CancelledError` there, says not why, and takes no notice if somebody swallows it. So
a task's coroutine is driven by an awaitable of ours, which puts the interrupt in the place of that `CancelledError`.
What is raised is a subclass of both, because asyncio's locks, groups and time-outs, and many a library, tidy up only
after a `CancelledError`. If the coroutine goes on as if nothing had happened, it is raised once more.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from dramatiq.threading import Interrupt

T = TypeVar("T")


class Interruptible(Generic[T]):
    """Awaits a coroutine, into which an interrupt may be raised; only the task that made it may await it.

    Args:
        coroutine: The coroutine.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._is_over = False
        #: What is to be raised.
        self._pending: type[Interrupt] | None = None
        #: What was raised; nobody keeps it alive once it has been swallowed.
        self._raised: weakref.ref[BaseException] | None = None
        self._has_insisted = False
        self._kind: type[Interrupt] | None = None

    def interrupt(self, error: type[Interrupt]) -> None:
        """Raise an error in the coroutine; from any thread."""
        with suppress(RuntimeError):  # the loop has ended, and the coroutine with it
            self._loop.call_soon_threadsafe(self._interrupt, error)

    def __await__(self) -> Generator[Any, Any, T]:
        """Drive the coroutine to its end.

        Raises:
            Interrupt: What it was interrupted with, also if it became a plain `CancelledError` or part of a group.
        """
        try:
            return (yield from self._drive())
        except (asyncio.CancelledError, BaseExceptionGroup) as error:
            if self._kind is None or isinstance(error, self._kind) or not _is_about(self._kind, error):
                raise
            raise self._kind() from error
        finally:
            self._is_over = True

    def _drive(self) -> Generator[Any, Any, T]:
        step: Any = self._coroutine.send
        value: Any = None
        while True:
            try:
                awaited = step(value)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            # Nothing here may keep alive what was raised.
            value = None
            self._insist_if_swallowed()
            try:
                value = yield awaited
                step = self._coroutine.send
            except BaseException as error:
                step, value = self._coroutine.throw, error
            if self._pending is not None and (value is None or not _is_own_end(value)):
                step, value = self._coroutine.throw, self._new_interrupt(self._pending)

    def _new_interrupt(self, kind: type[Interrupt]) -> BaseException:
        self._pending, self._kind = None, kind
        error = as_cancellation(kind)()
        self._raised = weakref.ref(error)
        return error

    def _insist_if_swallowed(self) -> None:
        if self._kind is not None and self._raised is not None and self._raised() is None and not self._has_insisted:
            # Twice is enough: whoever swallows it again is left to the hard limit.
            self._has_insisted = True
            self._loop.call_soon(self._interrupt, self._kind)

    def _interrupt(self, error: type[Interrupt]) -> None:
        if not self._is_over and self._task is not None:
            self._pending = error
            self._task.cancel()


def as_cancellation(kind: type[Interrupt]) -> type[Interrupt]:
    """Return the interrupt as a `CancelledError`, under the same name."""
    return type(kind.__name__, (kind, asyncio.CancelledError), {"__module__": kind.__module__, "__doc__": kind.__doc__})


def _is_own_end(value: object) -> bool:
    return isinstance(value, (GeneratorExit, KeyboardInterrupt, SystemExit))


def _is_about(kind: type[Interrupt], error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError) or (
        isinstance(error, BaseExceptionGroup) and error.subgroup(kind) is not None
    )

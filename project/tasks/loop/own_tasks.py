"""The asyncio tasks that a run starts on an event loop which it shares with others: named after it, ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from datetime import timedelta
from typing import Any
from weakref import WeakSet

import structlog

log = structlog.get_logger(__name__)

#: How long a run waits until what it left behind has taken notice of being cancelled.
_ENDS_WITHIN = timedelta(seconds=5)


class OwnTasks:
    """The asyncio tasks of one run, beside its first one.

    Args:
        key: The run's name.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        #: Made when it is needed: most runs start none.
        self._tasks: WeakSet[asyncio.Task[Any]] | None = None
        _own_tasks.set(self)

    def add(self, task: asyncio.Task[Any]) -> None:
        """Note that the run has started a task."""
        if self._tasks is None:
            self._tasks = WeakSet()
        self._tasks.add(task)

    async def end(self) -> None:
        """Cancel what the run has started and not awaited, as the end of an event loop does."""
        left = [task for task in self._tasks if not task.done()] if self._tasks else []
        if not left:
            return
        log.warning("coroutines_left_behind", count=len(left), cure="await what a task starts, as in a TaskGroup")
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_ENDS_WITHIN.total_seconds())


def make_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> Any:
    """Make a task, as a loop's task factory; one that a run starts belongs to it."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    own = _own_tasks.get()
    if own is not None:
        task.set_name(own.key)
        own.add(task)
    return task


_own_tasks: ContextVar[OwnTasks | None] = ContextVar("own_tasks", default=None)

"""Whether the calling code is part of a task that a worker runs: it may send, but must not wait for what it sent.

And whether it is a coroutine, which must not even send as plain functions do.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_in_task: ContextVar[bool] = ContextVar("in_task", default=False)


@contextmanager
def in_task() -> Iterator[None]:
    """Make the block part of a task."""
    token = _in_task.set(True)
    try:
        yield
    finally:
        _in_task.reset(token)


def is_in_task() -> bool:
    """Tell whether the calling code is part of a task that a worker runs."""
    return _in_task.get()


def is_on_event_loop() -> bool:
    """Tell whether the calling code runs on an event loop, and would hold it up if it waited for something."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    # Django's own way out, for notebooks and the like.
    return not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")

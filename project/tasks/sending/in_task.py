"""Whether the calling code is part of a task that a worker runs: it may send, but must not wait for what it sent."""

from __future__ import annotations

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

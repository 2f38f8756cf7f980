"""Every task that code has declared, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from project.tasks.errors import UnknownTaskError

if TYPE_CHECKING:
    from project.tasks.task import Task

_tasks: dict[str, Task[..., Any]] = {}
_twice: dict[str, list[str]] = {}


def declare(task: Task[..., Any]) -> bool:
    """Remember a task; a second one of the same name is refused and named by a system check."""
    first = _tasks.setdefault(task.actor_name, task)
    if first is task:
        return True
    _twice.setdefault(task.actor_name, [_where(first)]).append(_where(task))
    return False


def get_task(name: str) -> Task[..., Any]:
    """Return the task of that name.

    Raises:
        UnknownTaskError: If this checkout declares none.
    """
    try:
        return _tasks[name]
    except KeyError:
        raise UnknownTaskError(name) from None


def all_tasks() -> dict[str, Task[..., Any]]:
    """Return every declared task by name, sorted."""
    return dict(sorted(_tasks.items()))


def declared_twice() -> dict[str, list[str]]:
    """Return, for each name declared more than once, the functions that claim it."""
    return dict(_twice)


def _where(task: Task[..., Any]) -> str:
    return f"{task.fn.__module__}.{task.fn.__qualname__}"

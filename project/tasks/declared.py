"""Every task that code has declared, by name."""

from __future__ import annotations

from project.tasks.declaration import Declaration
from project.tasks.errors import UnknownTaskError

_tasks: dict[str, Declaration] = {}
_twice: dict[str, list[str]] = {}


def declare(task: Declaration) -> bool:
    """Remember a task; a second one of the same name is refused and named by a system check."""
    first = _tasks.setdefault(task.name, task)
    if first is task:
        return True
    _twice.setdefault(task.name, [_where(first)]).append(_where(task))
    return False


def declaration_of(name: str) -> Declaration:
    """Return what was declared about the task of that name.

    Raises:
        UnknownTaskError: If this checkout declares none.
    """
    try:
        return _tasks[name]
    except KeyError:
        raise UnknownTaskError(name) from None


def all_declarations() -> dict[str, Declaration]:
    """Return every declaration by its task's name, sorted."""
    return dict(sorted(_tasks.items()))


def declared_twice() -> dict[str, list[str]]:
    """Return, for each name declared more than once, the functions that claim it."""
    return dict(_twice)


def _where(task: Declaration) -> str:
    return f"{task.signature.fn.__module__}.{task.signature.fn.__qualname__}"

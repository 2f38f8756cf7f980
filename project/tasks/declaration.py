"""What a task is to those that send and run it, and every task by name.

Not an actor of Dramatiq, only what was declared about it: an actor sends and runs, so it stands above both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from asgiref.sync import iscoroutinefunction

from project.tasks.errors import UnknownTaskError
from project.tasks.policy import Policy
from project.tasks.signature import TaskSignature

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Declaration:
    """A declared task.

    Args:
        name: The dotted name that its messages carry.
        policy: How it is run.
        signature: What its arguments and its result must be.
        function: What a worker calls with the arguments; a coroutine function runs on the event loop.
    """

    name: str
    policy: Policy
    signature: TaskSignature
    function: Callable[..., Any]

    @cached_property
    def is_async(self) -> bool:
        """Whether it is a coroutine function."""
        return iscoroutinefunction(self.function)

    @property
    def queue(self) -> str:
        """The queue in which its runs wait."""
        return self.policy.queue

    @property
    def priority(self) -> int:
        """The priority of its runs; lower runs first."""
        return self.policy.priority

    @property
    def durable(self) -> bool:
        """Whether each send is kept in a row until it has ended."""
        return self.policy.durable

    def __post_init__(self) -> None:
        self.signature.check_keys(self.policy.key_functions())

    def limit_key(self, arguments: Mapping[str, Any]) -> str:
        """Return the name of the limit for which a run waits; empty if it waits for none.

        Args:
            arguments: The call's arguments as JSON values.
        """
        return self.policy.limit_key(self.name, arguments) if self.policy.is_limited else ""


@dataclass(frozen=True)
class Call(Generic[R_co]):
    """A task with validated arguments, not sent yet.

    Args:
        task: The task.
        arguments: Its arguments by name, as plain JSON values.
    """

    task: Declaration
    arguments: dict[str, Any]


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


def find_declaration(name: str) -> Declaration | None:
    """Return what was declared about the task of that name, if this checkout declares one."""
    return _tasks.get(name)


def all_declarations() -> dict[str, Declaration]:
    """Return every declaration by its task's name, sorted."""
    return dict(sorted(_tasks.items()))


def declared_twice() -> dict[str, list[str]]:
    """Return, for each name declared more than once, the functions that claim it."""
    return dict(_twice)


def _where(task: Declaration) -> str:
    return f"{task.signature.fn.__module__}.{task.signature.fn.__qualname__}"

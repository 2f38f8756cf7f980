"""What a task is to those that send and run it: no actor of Dramatiq, only what was declared about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from project.tasks.policy import Policy
from project.tasks.signature import TaskSignature

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, eq=False)
class Declaration:
    """A declared task.

    Args:
        name: The dotted name that its messages carry.
        policy: How it is run.
        signature: What its arguments and its result must be.
        function: What a worker calls with the arguments: a plain function, even if the task is a coroutine function.
    """

    name: str
    policy: Policy
    signature: TaskSignature
    function: Callable[..., Any]

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

    @property
    def limit_key(self) -> str:
        """The name of the limit whose slot its runs need; empty if they need none."""
        return self.policy.limit_key(self.name)


@dataclass(frozen=True)
class Call(Generic[R]):
    """A task with validated arguments, not sent yet.

    Args:
        task: The task.
        arguments: Its arguments by name, as plain JSON values.
    """

    task: Declaration
    arguments: dict[str, Any]

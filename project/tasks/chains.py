"""Chains: each step gets the result of the one before, and is sent in the transaction that records it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast, overload

from project.tasks.declaration import Call, Declaration, declaration_of
from project.tasks.errors import TaskDefinitionError
from project.tasks.sending.message import Message
from project.tasks.sending.options import Options
from project.tasks.sending.sending import send_runs
from project.values.deadline import Deadline
from project.values.ids import uuid7

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
R = TypeVar("R")


@dataclass(frozen=True)
class Chain(Generic[R]):
    """A chain that was sent.

    Args:
        messages: One for each step; the run of a step exists once the step before it has succeeded.
    """

    messages: tuple[Message[Any], ...]

    def result(self, timeout: float | timedelta = 10) -> R:
        """Wait for the last step and return what it returned.

        Args:
            timeout: Seconds, or a timedelta, to wait at most for all steps together.

        Raises:
            TaskFailed: If a step ended without a result; the later ones are never sent then.
            ResultTimeout: If the last step has not ended in time; it goes on.
        """
        result, deadline = None, Deadline.after(timeout)
        for message in self.messages:
            result = message.result(deadline.left)
        return cast("R", result)

    async def aresult(self, timeout: float | timedelta = 10) -> R:
        """Wait as `result` does, without blocking the event loop."""
        result, deadline = None, Deadline.after(timeout)
        for message in self.messages:
            result = await message.aresult(deadline.left)
        return cast("R", result)


@overload
def chain(first: Call[A], second: Callable[[A], B], /) -> Chain[B]: ...
@overload
def chain(first: Call[A], second: Callable[[A], B], third: Callable[[B], C], /) -> Chain[C]: ...
@overload
def chain(
    first: Call[A], second: Callable[[A], B], third: Callable[[B], C], fourth: Callable[[C], D], /
) -> Chain[D]: ...
@overload
def chain(
    first: Call[A],
    second: Callable[[A], B],
    third: Callable[[B], C],
    fourth: Callable[[C], D],
    fifth: Callable[[D], E],
    /,
) -> Chain[E]: ...
def chain(first: Call[Any], /, *steps: Callable[[Any], Any]) -> Chain[Any]:
    """Send a task, and then each further one with the result of the one before as its argument.

    A step is sent in the transaction that records the success of the one before, so that no kill separates them. One
    that is unique, while another run has its key, waits until that has ended.

    Args:
        first: The first step with its arguments.
        steps: The tasks after it; each takes one argument, the result of the one before.

    Raises:
        TaskDefinitionError: If a step is not a durable task.
    """
    next_steps = [_stored(step) for step in steps]
    sent = send_runs([first], Options(), or_wait=True, next_steps=next_steps)
    later: list[Message[Any]] = [_message_of(step) for step in next_steps]
    return Chain((*sent, *later))


def _stored(step: Callable[[Any], Any]) -> dict[str, Any]:
    task = _declaration_of(step)
    return {
        "id": str(uuid7()),
        "task": task.name,
        "queue": task.queue,
        "parameter": task.signature.first_parameter,
    }


def _message_of(step: dict[str, Any]) -> Message[Any]:
    return Message(step["queue"], step["task"], (), {}, {}, step["id"])


def _declaration_of(step: Callable[[Any], Any]) -> Declaration:
    name = getattr(step, "actor_name", None)
    if name is None or not declaration_of(name).durable:
        raise TaskDefinitionError(f"{step!r} cannot be a step: a chain consists of durable tasks.")
    return declaration_of(name)

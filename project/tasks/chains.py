"""Chains: each step gets the result of the one before, and is sent in the transaction that records it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload
from uuid import UUID

from project.tasks.declared import get_task
from project.tasks.errors import TaskArgumentError, TaskDefinitionError, UnknownTaskError
from project.tasks.ids import uuid7
from project.tasks.sending.callbacks import send_or_bury
from project.tasks.sending.message import Message
from project.tasks.sending.sending import Call, Options, send_runs

if TYPE_CHECKING:
    from project.tasks.running.claim import Claim

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
        result = None
        for message, left in zip(self.messages, _time_left(timeout), strict=False):
            result = message.result(left)
        return cast("R", result)

    async def aresult(self, timeout: float | timedelta = 10) -> R:
        """Wait as `result` does, without blocking the event loop."""
        result = None
        for message, left in zip(self.messages, _time_left(timeout), strict=False):
            result = await message.aresult(left)
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


def send_next_step(claim: Claim, result: Any) -> None:
    """Send what follows a step that has just succeeded, in the surrounding transaction.

    Args:
        claim: The step that succeeded.
        result: Its result as a JSON value.
    """
    step, *later = claim.next_steps
    send_or_bury(
        step["task"],
        _arguments(step, result),
        run_id=UUID(step["id"]),
        queue=step.get("queue", "default"),
        next_steps=later,
    )


def _arguments(step: dict[str, Any], result: Any) -> dict[str, Any]:
    """Name the argument: as this checkout does or, if it does not know better, as the one that sent the chain did."""
    try:
        return get_task(step["task"]).signature.named([result], {})
    except (UnknownTaskError, TaskArgumentError):
        return {step.get("parameter", "result"): result}


def _stored(step: Callable[[Any], Any]) -> dict[str, Any]:
    task = get_task(_name_of(step))
    return {
        "id": str(uuid7()),
        "task": task.actor_name,
        "queue": task.queue_name,
        "parameter": task.signature.first_parameter,
    }


def _message_of(step: dict[str, Any]) -> Message[Any]:
    return Message(get_task(step["task"]).queue_name, step["task"], (), {}, {}, step["id"])


def _name_of(step: Callable[[Any], Any]) -> str:
    name = getattr(step, "actor_name", None)
    if name is None or not get_task(name).durable:
        raise TaskDefinitionError(f"{step!r} cannot be a step: a chain consists of durable tasks.")
    return str(name)


def _time_left(timeout: float | timedelta) -> Iterator[float]:
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    deadline = time.monotonic() + seconds
    while True:
        yield max(0.0, deadline - time.monotonic())

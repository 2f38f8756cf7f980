"""`@task`: a plain function that can also be sent, with its types kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload
from uuid import UUID

import dramatiq
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from dramatiq.broker import get_broker

from project.tasks.declaration import Call, Declaration, all_declarations, declaration_of, declare
from project.tasks.errors import OtherWayError
from project.tasks.loop.execution import execute_alone
from project.tasks.policy import Policy
from project.tasks.running.execution import execute, take_delivery
from project.tasks.sending.message import Message, message_of_run
from project.tasks.sending.options import Options
from project.tasks.sending.refused import COMPOSED, PLAIN, WITH_OPTIONS, Refused
from project.tasks.sending.sending import send_runs
from project.tasks.signature import TaskSignature

if TYPE_CHECKING:
    from dramatiq.broker import Broker


P = ParamSpec("P")
R = TypeVar("R")
#: The options that somebody may write, what they become, who takes them, and what that returns.
Q = ParamSpec("Q")
Chosen = TypeVar("Chosen")
S = TypeVar("S")
T = TypeVar("T")


def _with_options_of(kind: Callable[Q, Chosen]) -> Callable[[Callable[[S, Chosen], T]], Callable[Concatenate[S, Q], T]]:
    """Have a function called with the options of a dataclass, so that those are written down only there.

    Args:
        kind: The dataclass; the function takes one as its second argument.
    """

    def decorate(function: Callable[[S, Chosen], T]) -> Callable[Concatenate[S, Q], T]:
        @wraps(function)
        def call(first: S, /, *args: Q.args, **options: Q.kwargs) -> T:
            return function(first, kind(*args, **options))

        return call

    return decorate


@dataclass(frozen=True)
class Sender(Generic[P, R]):
    """A task together with the options of one send."""

    task: Task[P, R]
    options: Options

    def send(self, *args: P.args, **kwargs: P.kwargs) -> Message[R]:
        """Send the task as `Task.send` does, with these options."""
        return self.send_many([self.task.call(*args, **kwargs)])[0]

    async def asend(self, *args: P.args, **kwargs: P.kwargs) -> Message[R]:
        """Send the task from async code."""
        return await sync_to_async(self.send)(*args, **kwargs)

    def send_many(self, calls: Iterable[Call[R]]) -> list[Message[R]]:
        """Send many calls of this task as `Task.send_many` does, with these options."""
        return cast("list[Message[R]]", send_runs(list(calls), self.options))

    async def asend_many(self, calls: Iterable[Call[R]]) -> list[Message[R]]:
        """Send many calls of this task from async code."""
        return await sync_to_async(self.send_many)(list(calls))


class Task(dramatiq.Actor[P, R]):
    """A Dramatiq actor whose arguments and result keep their types from end to end.

    Call it to run the function here and now; `send` it to have a worker run it.

    Args:
        fn: The function; its parameters and result must be annotated.
        name: The dotted name that messages carry.
        broker: Where it is declared.
        policy: How it is run.
    """

    def __init__(
        self, fn: Callable[P, R] | Callable[P, Awaitable[R]], *, name: str, broker: Broker, policy: Policy
    ) -> None:
        self.actor_name = name
        # Dramatiq would wrap a coroutine function so that it occupies a thread.
        self.fn = cast("Callable[P, R]", async_to_sync(fn) if iscoroutinefunction(fn) else fn)
        signature = TaskSignature(name=name, fn=fn)
        self.declaration = Declaration(name=name, policy=policy, signature=signature, function=fn)
        self._as_usual = Sender(self, Options())
        if declare(self.declaration):
            _tasks[self.declaration] = self
            super().__init__(
                self.fn,
                broker=broker,
                actor_name=name,
                queue_name=policy.queue,
                priority=policy.priority,
                options=dict(policy.dramatiq_options()),
            )

    # Dramatiq's own, and what Celery calls the same: they would bypass the row, the transaction and the signature.
    send_with_options: Refused = Refused(WITH_OPTIONS)  # type: ignore[assignment]
    message_with_options: Refused = Refused(COMPOSED)  # type: ignore[assignment]
    delay: Refused = Refused(PLAIN)
    apply_async: Refused = Refused(WITH_OPTIONS)
    s: Refused = Refused(COMPOSED)

    @property
    def policy(self) -> Policy:
        """How it is run."""
        return self.declaration.policy

    @property
    def signature(self) -> TaskSignature:
        """What its arguments and its result must be."""
        return self.declaration.signature

    @property
    def durable(self) -> bool:
        """Whether each send is kept in a row until it has ended."""
        return self.policy.durable

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function: directly, or for the message that a worker is processing in this thread."""
        delivery = take_delivery(self.actor_name)
        if delivery is not None:
            run = execute_alone if self.declaration.is_async else execute
            return cast("R", run(self.declaration, delivery))
        return self.fn(*args, **kwargs)

    def send(self, *args: P.args, **kwargs: P.kwargs) -> Message[R]:
        """Send the task: it runs once the surrounding transaction has committed, whatever dies.

        Raises:
            TaskArgumentError: If the arguments do not fit; nothing is written then.
        """
        return self._as_usual.send(*args, **kwargs)

    async def asend(self, *args: P.args, **kwargs: P.kwargs) -> Message[R]:
        """Send the task from async code."""
        return await self._as_usual.asend(*args, **kwargs)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Validate a call for `send_many`.

        Raises:
            TaskArgumentError: If the arguments do not fit.
        """
        return Call(self.declaration, self.signature.to_json(args, kwargs))

    def send_many(self, calls: Iterable[Call[R]]) -> list[Message[R]]:
        """Send many calls of this task with one INSERT and one pipeline to the broker."""
        return self._as_usual.send_many(calls)

    async def asend_many(self, calls: Iterable[Call[R]]) -> list[Message[R]]:
        """Send many calls of this task from async code."""
        return await self._as_usual.asend_many(calls)

    def message(self, run_id: UUID | str) -> Message[R]:  # type: ignore[override]  # Dramatiq's would leave no row
        """Return the message of a run of this task that was sent before: its state, its result, a way to cancel it.

        Args:
            run_id: The run's id.

        Raises:
            UnknownRunError: If there is no such run, or if it is one of another task.
            OtherWayError: If that cannot be an id: Dramatiq's own `message` takes a task's arguments.
        """
        try:
            known = run_id if isinstance(run_id, UUID) else UUID(run_id)
        except (TypeError, ValueError, AttributeError):
            raise OtherWayError(self.actor_name, "message", COMPOSED) from None
        return cast("Message[R]", message_of_run(known, task=self.declaration))

    @_with_options_of(Options)
    def using(self, options: Options) -> Sender[P, R]:
        """Return a sender with options of its own, as in `.using(delay=timedelta(hours=1)).send(…)`.

        Args:
            options: Written as keyword arguments, those of `Options`; see there for what each means.
        """
        return Sender(self, options)

    def check_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Validate arguments that came from outside, such as a form.

        Raises:
            TaskArgumentError: If they do not fit.
        """
        self.signature.to_json(args, kwargs)


_tasks: dict[Declaration, Task[..., Any]] = {}


def get_task(name: str) -> Task[..., Any]:
    """Return the task of that name.

    Raises:
        UnknownTaskError: If this checkout declares none.
    """
    return _task_of(declaration_of(name))


def all_tasks() -> dict[str, Task[..., Any]]:
    """Return every declared task by name, sorted."""
    return {name: _task_of(declaration) for name, declaration in all_declarations().items()}


def _task_of(declaration: Declaration) -> Task[..., Any]:
    return _tasks[declaration]


class TaskDecorator(Protocol):
    """What `task(...)` returns: it keeps the function's parameters and result."""

    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]]) -> Task[P, R]: ...

    @overload
    def __call__(self, fn: Callable[P, R]) -> Task[P, R]: ...


@_with_options_of(Policy)
def task(name: str, policy: Policy) -> TaskDecorator:
    """Make a function a task, as in `@task("todo.cleanup", queue="maintenance", max_retries=3)`.

    Args:
        name: Its dotted name, a member of `TaskName`.
        policy: Written as keyword arguments, those of `Policy`; see there for what each means.

    Raises:
        TaskDefinitionError: If the options contradict each other.
    """

    def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
        return Task(fn, name=str(name), broker=get_broker(), policy=policy)

    return cast("TaskDecorator", decorate)

"""`@task`: a plain function that can also be sent, with its types kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload
from uuid import UUID

import dramatiq
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from dramatiq.asyncio import async_to_sync as run_in_event_loop
from dramatiq.broker import get_broker

from project.tasks.declaration import Call, Declaration, all_declarations, declaration_of, declare
from project.tasks.policy import Policy
from project.tasks.running.execution import execute, take_delivery
from project.tasks.running.isolation import giving_back
from project.tasks.sending.cause import Cause
from project.tasks.sending.message import Message
from project.tasks.sending.options import Options
from project.tasks.sending.refused import COMPOSED, PLAIN, WITH_OPTIONS, Refused
from project.tasks.sending.sending import send_runs
from project.tasks.signature import TaskSignature

if TYPE_CHECKING:
    from dramatiq.broker import Broker


P = ParamSpec("P")
R = TypeVar("R")


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
        self.fn = cast("Callable[P, R]", run_in_event_loop(giving_back(fn)) if iscoroutinefunction(fn) else fn)
        signature = TaskSignature(name=name, fn=fn)
        self.declaration = Declaration(name=name, policy=policy, signature=signature, function=self.fn)
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
    message: Refused = Refused(COMPOSED)  # type: ignore[assignment]
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
            return cast("R", execute(self.declaration, delivery))
        fn = self.signature.fn
        return cast("R", async_to_sync(fn)(*args, **kwargs) if iscoroutinefunction(fn) else fn(*args, **kwargs))

    def send(self, *args: P.args, **kwargs: P.kwargs) -> Message[R]:
        """Send the task: it runs once the surrounding transaction has committed, whatever dies.

        Raises:
            TaskArgumentError: If the arguments do not fit; nothing is written then.
        """
        return self.using().send(*args, **kwargs)

    async def asend(self, *args: P.args, **kwargs: P.kwargs) -> Message[R]:
        """Send the task from async code."""
        return await self.using().asend(*args, **kwargs)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Validate a call for `send_many`.

        Raises:
            TaskArgumentError: If the arguments do not fit.
        """
        return Call(self.declaration, self.signature.to_json(args, kwargs))

    def send_many(self, calls: Iterable[Call[R]]) -> list[Message[R]]:
        """Send many calls of this task with one INSERT and one pipeline to the broker."""
        return self.using().send_many(calls)

    def using(
        self,
        *,
        delay: timedelta | None = None,
        eta: datetime | None = None,
        expires: timedelta | datetime | None = None,
        queue: str | None = None,
        priority: int | None = None,
        run_id: UUID | None = None,
        cause: Cause | None = None,
    ) -> Sender[P, R]:
        """Return a sender with options of its own; see `Options` for what each means."""
        options = Options(
            delay=delay, eta=eta, expires=expires, queue=queue, priority=priority, run_id=run_id, cause=cause
        )
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


def task(
    name: str,
    *,
    queue: str = "default",
    priority: int = 0,
    durable: bool = True,
    max_retries: int = 5,
    min_backoff: timedelta = timedelta(seconds=5),
    max_backoff: timedelta = timedelta(hours=1),
    retry_on: tuple[type[BaseException], ...] = (Exception,),
    dont_retry_on: tuple[type[BaseException], ...] = (),
    max_postponement: timedelta = timedelta(days=1),
    time_limit: timedelta = timedelta(minutes=5),
    expires: timedelta | None = None,
    unique: bool | Callable[..., str] = False,
    max_concurrency: int | None = None,
) -> TaskDecorator:
    """Make a function a task.

    Args:
        name: Its dotted name, a member of `TaskName`.
        queue: The queue it waits in.
        priority: Below 0, its runs overtake what waits in the queue; among those that a process has taken, lower
            runs first.
        durable: Keep a row for each send; False hands it straight to the broker, which may lose it.
        max_retries: How often a failed run is tried again.
        min_backoff: The longest wait before the first retry; it doubles with each one.
        max_backoff: The longest wait before any retry.
        retry_on: Exceptions that are worth a retry.
        dont_retry_on: Exceptions that are not, though `retry_on` names them.
        max_postponement: How long `RetryLater` may put a run off in all, from its first time on; that uses up no
            retries.
        time_limit: How long an attempt may run before TimeLimitExceeded is raised in it.
        expires: How long after being sent a run may still start.
        unique: While a run of the same arguments (or of the same key, given a function of the arguments) is
            unfinished, a send returns that run's message; a member of a batch and a step of a chain wait for its end.
        max_concurrency: How many runs of this task may run at once, over all workers.

    Raises:
        TaskDefinitionError: If the options contradict each other.
    """
    policy = Policy(
        queue=queue,
        priority=priority,
        durable=durable,
        max_retries=max_retries,
        min_backoff=min_backoff,
        max_backoff=max_backoff,
        retry_on=retry_on,
        dont_retry_on=dont_retry_on,
        max_postponement=max_postponement,
        time_limit=time_limit,
        expires=expires,
        unique=unique,
        max_concurrency=max_concurrency,
    )

    def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
        return Task(fn, name=str(name), broker=get_broker(), policy=policy)

    return cast("TaskDecorator", decorate)

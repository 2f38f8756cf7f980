"""What can go wrong with a task, and what to do about it."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from dramatiq.threading import Interrupt


class TaskError(Exception):
    """Base of every error of the task machinery."""


class UnknownTaskError(TaskError):
    """No task of that name is declared; add it to the registry or correct the name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No task is named {name!r}: add it to the registry, or send one that is there.")


class TaskDefinitionError(TaskError, ValueError):
    """A task's function cannot be a task; the message says what to change."""


class OtherWayError(TaskError, AttributeError):
    """A task cannot be sent like this: it would leave no row, ignore the transaction and skip the arguments' check."""

    def __init__(self, task: str, name: str, instead: str) -> None:
        super().__init__(
            f"{name} knows nothing of the rows of task {task!r}, of transactions and its signature. Write {instead}.",
            name=name,
        )


class TaskArgumentError(TaskError):
    """Arguments do not fit the task's signature; nothing was written.

    Args:
        task: The task's name.
        problems: One `(argument, reason)` pair for each argument that does not fit.
    """

    def __init__(self, task: str, problems: Sequence[tuple[str, str]]) -> None:
        self.task = task
        self.problems = list(problems)
        reasons = "; ".join(f"{argument}: {reason}" for argument, reason in self.problems)
        super().__init__(f"Arguments do not fit task {task!r}: {reasons}.")


class PermanentError(TaskError):
    """Raise it in a task when trying again cannot help: the run is dead at once."""


class Postponed(TaskError):  # noqa: N818 (it is no failure)
    """What puts a run off without being a failure: it uses up no retries and has a bound of its own."""


class RetryLater(Postponed):
    """Raise it in a task to be retried after a delay the task itself knows; that uses up no retries.

    Args:
        after: How long to wait before the next attempt.
        reason: What the run's page shows.

    Raises:
        TypeError: If `after` is not a timedelta.
    """

    def __init__(self, *, after: timedelta, reason: str = "asked to be retried later") -> None:
        if not isinstance(after, timedelta):
            raise TypeError(f"after must be a timedelta, as in RetryLater(after=timedelta(seconds=2)), not {after!r}.")
        self.after = after
        super().__init__(reason)


class NoStartFree(Postponed):
    """A run was claimed and could not begin before its start was another's; it waits on, in its place."""


class Misfit(Postponed):
    """A run's task or arguments are not those of the code that was to execute it; during a roll-out others have it."""


class ResultTimeout(TaskError):  # noqa: N818 (named as in dramatiq.results)
    """The run did not end in time; it goes on, so ask again or look at its page."""

    def __init__(self, *, run_id: UUID, state: str, waited: float) -> None:
        super().__init__(f"Run {run_id} is still {state} after {waited:g} s; it has not been stopped.")


class ResultUnavailable(TaskError):  # noqa: N818
    """There is no result to wait for; the message says why."""


class UnknownRunError(ResultUnavailable):
    """There is no such run, or it is one of another task; the message says which."""


class WaitInTask(ResultUnavailable, PermanentError):  # noqa: N818
    """A task must not wait for another one: that is what occupies the thread which the other one needs."""

    def __init__(self, run_id: UUID) -> None:
        super().__init__(
            f"A task must not wait for run {run_id}: it occupies a thread meanwhile, and when all threads wait, none "
            "is left to run what they wait for. Let what needs the result be a step of its own, "
            "chain(first.call(…), second), or the callback of a batch, Batch.send([…], then=…)."
        )


class TaskFailed(TaskError):  # noqa: N818
    """The run ended without a result.

    Args:
        run_id: The run.
        state: How it ended: dead, cancelled, expired or discarded.
        reason: The error of its last attempt.
    """

    def __init__(self, *, run_id: UUID, state: str, reason: str) -> None:
        self.run_id, self.state, self.reason = run_id, state, reason
        super().__init__(f"Run {run_id} is {state}: {reason or 'no reason was recorded'}")


class BlockingSend(TaskError, RuntimeError):  # noqa: N818 (it says what was done)
    """A coroutine must not send a task as plain functions do: every other one would wait for the database with it."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"Sending task {task!r} waits for the database, and would hold up every coroutine here. Write "
            "`await task.asend(…)`, or `await sync_to_async(…)(…)` around what else sends."
        )


class RunStateError(TaskError):
    """What was asked is not possible in the run's present state."""


class TaskCancelled(Interrupt):
    """Raised inside a running task whose run was cancelled; catch it only to clean up."""


class TimeLimitExceeded(Interrupt):
    """Raised inside a running task that used up its time limit; catch it only to clean up."""


class HardTimeLimitExceeded(TimeLimitExceeded):
    """Recorded for a task that went on after its time limit until its process was replaced.

    Args:
        time_limit: Its time limit.
    """

    def __init__(self, time_limit: timedelta) -> None:
        super().__init__(
            f"It did not end at its time limit of {time_limit.total_seconds():g} s, so its process was replaced: no "
            "exception reaches a thread in a blocking C call. Give such calls time-outs of their own."
        )


class EventLoopBlocked(TimeLimitExceeded):
    """Recorded for a coroutine that kept the event loop of its process from going on, until that was replaced.

    Args:
        grace: For how long it may do that.
    """

    def __init__(self, grace: timedelta) -> None:
        super().__init__(
            f"It blocked the event loop for {grace.total_seconds():g} s, and with it every coroutine of its process, "
            "so that was replaced. Await what waits, call blocking code by `asyncio.to_thread`, or write `def`."
        )


class ClaimLost(Interrupt):
    """Raised inside a running task whose worker was presumed dead: another worker has the run now."""

"""How a task is run: its queue, retries, limits."""

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from project.tasks.errors import PermanentError, Postponed, RetryLater, TaskArgumentError, TaskDefinitionError
from project.tasks.keys import call_key, digest, scoped_key
from project.tasks.rate import Rate

#: After this many deaths of its worker while it ran, a run is poison.
MAX_DEATHS = 3
#: A run that needs another release is tried again for at least this long, until a worker of that release takes it.
ROLL_OUT = timedelta(hours=1)
#: The shortest and the longest pause between two such tries.
_FIRST_LOOK, _LAST_LOOK = timedelta(seconds=5), timedelta(minutes=2)
#: No retry is further away, whatever a task or its policy asks for: now plus the longest timedelta is not a date.
_LONGEST_WAIT = timedelta(days=365)
#: Dramatiq's own rule for names, and the length of the column in characters.
_QUEUE, _LONGEST_QUEUE = re.compile(r"[a-zA-Z_][a-zA-Z0-9._-]*"), 100
#: A time further away than this is refused as a mistake; dates end with the year 9999.
FURTHEST = timedelta(days=36_525)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a task is run: the options of `@task`.

    Args:
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
        concurrency_key: A function of the arguments, as in `lambda user_id: user_id`: so many may run at once for each
            value that it returns.
        rate_limit: How many runs of this task may start in any period of that length, over all workers, as in
            "100/minute" (or second, hour, day); each attempt is a start.
        rate_limit_key: The same as `concurrency_key` for `rate_limit`; a task that has both limits counts both by one
            function.

    Raises:
        TaskDefinitionError: If the options contradict each other.
    """

    queue: str = "default"
    priority: int = 0
    durable: bool = True
    max_retries: int = 5
    min_backoff: timedelta = timedelta(seconds=5)
    max_backoff: timedelta = timedelta(hours=1)
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    dont_retry_on: tuple[type[BaseException], ...] = ()
    max_postponement: timedelta = timedelta(days=1)
    time_limit: timedelta = timedelta(minutes=5)
    expires: timedelta | None = None
    unique: bool | Callable[..., str] = False
    max_concurrency: int | None = None
    concurrency_key: Callable[..., object] | None = None
    rate_limit: str | None = None
    rate_limit_key: Callable[..., object] | None = None

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise TaskDefinitionError("max_retries counts retries after the first attempt: 0 or more.")
        if not timedelta(0) < self.min_backoff <= self.max_backoff:
            raise TaskDefinitionError("Backoff needs 0 < min_backoff <= max_backoff.")
        if self.max_postponement < timedelta(0):
            raise TaskDefinitionError("max_postponement is how long RetryLater may put a run off: 0 or more.")
        if self.time_limit <= timedelta(0):
            raise TaskDefinitionError("time_limit must be positive.")
        if self.expires is not None and self.expires > FURTHEST:
            raise TaskDefinitionError("expires must be within 100 years, or None for runs that may start at any time.")
        if self.max_concurrency is not None and self.max_concurrency < 1:
            raise TaskDefinitionError("max_concurrency must be at least 1, or None for no bound.")
        check_queue(self.queue)
        check_priority(self.priority)
        for option in ("retry_on", "dont_retry_on"):
            if not _are_exceptions(getattr(self, option)):
                raise TaskDefinitionError(f"{option} is a tuple of exception classes: {option}=(ValueError,).")
        if not self.durable and (self.unique or self.is_limited):
            raise TaskDefinitionError("unique, max_concurrency and rate_limit need the rows of a durable task.")
        self._check_limits()

    def unique_key(self, task: str, arguments: Mapping[str, Any]) -> str | None:
        """Return the key of which only one unfinished run may exist, or None.

        Args:
            task: The task's name.
            arguments: The call's arguments as JSON values.
        """
        if callable(self.unique):
            return scoped_key(task, call_key(self.unique, arguments))
        if not self.unique:
            return None
        return f"{task}:{digest(json.dumps(arguments, sort_keys=True))}"

    @cached_property
    def is_limited(self) -> bool:
        """Whether runs of this task may have to wait for one another."""
        return self.max_concurrency is not None or self.rate_limit is not None

    @cached_property
    def rate(self) -> Rate | None:
        """How many runs may start in a period; None for any number."""
        return None if self.rate_limit is None else Rate.parse(self.rate_limit)

    def limit_key(self, task: str, arguments: Mapping[str, Any]) -> str:
        """Return the name of the limit for which a run waits; empty if it waits for none.

        Args:
            task: The task's name.
            arguments: The call's arguments as JSON values.
        """
        key = self.concurrency_key or self.rate_limit_key
        if key is None or not self.is_limited:
            return task if self.is_limited else ""
        return scoped_key(task, call_key(key, arguments))

    def key_functions(self) -> dict[str, Callable[..., object]]:
        """Return the functions of a call's arguments among the options, by the option's name."""
        names = ("unique", "concurrency_key", "rate_limit_key")
        return {name: value for name in names if callable(value := getattr(self, name))}

    def _check_limits(self) -> None:
        if self.rate_limit is not None:
            Rate.parse(self.rate_limit)
        if self.concurrency_key is not None and self.max_concurrency is None:
            raise TaskDefinitionError("concurrency_key says what max_concurrency counts by: give that, too.")
        if self.rate_limit_key is not None and self.rate_limit is None:
            raise TaskDefinitionError("rate_limit_key says what rate_limit counts by: give that, too.")
        if self.max_concurrency and self.rate_limit and self.concurrency_key is not self.rate_limit_key:
            raise TaskDefinitionError(
                "A task counts both of its limits by one key: give concurrency_key and rate_limit_key one function."
            )

    def retry_in(self, error: BaseException, *, failures: int) -> timedelta | None:
        """Return how long a failed run waits for its next attempt, or None if it is dead.

        Args:
            error: What the attempt raised.
            failures: How many attempts have raised, this one included.
        """
        if failures > self.max_retries or not self._is_worth_retrying(error):
            return None
        return _backoff(failures, first=self.min_backoff, last=self.max_backoff)

    def postpone_for(self, error: Postponed, *, times: int, so_far: timedelta) -> timedelta | None:
        """Return how long a run is put off, or None if it has been for too long.

        Args:
            error: What the attempt raised.
            times: How often the run has been put off, this time included.
            so_far: How long ago it was put off for the first time.
        """
        if so_far > (self.max_postponement if isinstance(error, RetryLater) else ROLL_OUT):
            return None
        if isinstance(error, RetryLater):
            return min(max(error.after, timedelta(0)), _LONGEST_WAIT)
        # Half of it for certain: a try at once would meet the same code again.
        return _backoff(times, first=_FIRST_LOOK, last=_LAST_LOOK, at_least=0.5)

    def dramatiq_options(self) -> Mapping[str, Any]:
        """Return the same policy in Dramatiq's words, for tasks that are not durable."""
        return {
            "max_retries": self.max_retries,
            "min_backoff": _milliseconds(self.min_backoff),
            "max_backoff": _milliseconds(self.max_backoff),
            # No "max_age": expiry has its own option, and a run that an operator retries may be older.
            "throws": (PermanentError, TaskArgumentError, *self.dont_retry_on),
        }

    def _is_worth_retrying(self, error: BaseException) -> bool:
        if isinstance(error, (PermanentError, TaskArgumentError, *self.dont_retry_on)):
            return False
        # A time limit or an exit raised in the task is no Exception, yet worth another attempt.
        return isinstance(error, self.retry_on) or not isinstance(error, Exception)


def check_queue(name: str) -> None:
    """Check that a queue can have that name.

    Raises:
        TaskDefinitionError: If it cannot.
    """
    if not _QUEUE.fullmatch(name) or len(name) > _LONGEST_QUEUE:
        raise TaskDefinitionError(
            f"{name!r} cannot name a queue: a letter, then letters, digits, '.', '_', '-'; {_LONGEST_QUEUE} in all."
        )


def check_priority(priority: int) -> None:
    """Check that a run can have that priority.

    Raises:
        TaskDefinitionError: If it cannot.
    """
    if not -(2**15) <= priority < 2**15:
        raise TaskDefinitionError(f"A priority is a number from {-(2**15)} to {2**15 - 1}, not {priority}.")


def _backoff(times: int, *, first: timedelta, last: timedelta, at_least: float = 0) -> timedelta:
    # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    # In seconds, because doubling a timedelta can leave its range.
    doubled = first.total_seconds() * 2.0 ** min(times - 1, 32)
    ceiling = min(doubled, last.total_seconds(), _LONGEST_WAIT.total_seconds())
    return timedelta(seconds=ceiling * random.uniform(at_least, 1))  # noqa: S311 (no secret depends on it)


def _are_exceptions(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, type) and issubclass(one, BaseException) for one in value)


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)

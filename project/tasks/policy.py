"""How a task is run: its queue, retries, limits."""

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from project.tasks.errors import PermanentError, RetryLater, TaskArgumentError, TaskDefinitionError

#: After this many deaths of its worker while it ran, a run is poison.
MAX_DEATHS = 3
#: No retry is further away, whatever a task or its policy asks for: some durations have no end that a date can name.
_LONGEST_WAIT = timedelta(days=365)
#: A time further away than this is a mistake, and beyond the year 9999 it is no date at all.
FURTHEST = timedelta(days=36_525)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What `@task` says about a task; see there for the meaning of each field."""

    queue: str = "default"
    priority: int = 0
    durable: bool = True
    max_retries: int = 5
    min_backoff: timedelta = timedelta(seconds=5)
    max_backoff: timedelta = timedelta(hours=1)
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    dont_retry_on: tuple[type[BaseException], ...] = ()
    time_limit: timedelta = timedelta(minutes=5)
    expires: timedelta | None = None
    unique: bool | Callable[..., str] = False
    max_concurrency: int | None = None

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise TaskDefinitionError("max_retries counts retries after the first attempt: 0 or more.")
        if not timedelta(0) < self.min_backoff <= self.max_backoff:
            raise TaskDefinitionError("Backoff needs 0 < min_backoff <= max_backoff.")
        if self.time_limit <= timedelta(0):
            raise TaskDefinitionError("time_limit must be positive.")
        if self.expires is not None and self.expires > FURTHEST:
            raise TaskDefinitionError("expires must be within 100 years, or None for runs that may start at any time.")
        if self.max_concurrency is not None and self.max_concurrency < 1:
            raise TaskDefinitionError("max_concurrency must be at least 1, or None for no bound.")
        if not self.durable and (self.unique or self.max_concurrency):
            raise TaskDefinitionError("unique and max_concurrency need the rows of a durable task.")

    def unique_key(self, task: str, arguments: Mapping[str, Any]) -> str | None:
        """Return the key of which only one unfinished run may exist, or None.

        Args:
            task: The task's name.
            arguments: The call's arguments as JSON values.
        """
        if callable(self.unique):
            return f"{task}:{self.unique(**arguments)}"[:200]
        if not self.unique:
            return None
        digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()
        return f"{task}:{digest[:32]}"

    def retry_at(self, error: BaseException, *, failures: int) -> datetime | None:
        """Return when a failed run is tried again, or None if it is dead.

        Args:
            error: What the attempt raised.
            failures: How many attempts have raised, this one included.
        """
        if failures > self.max_retries or not self._is_worth_retrying(error):
            return None
        wait = error.after if isinstance(error, RetryLater) else self._backoff(failures)
        return timezone.now() + min(wait, _LONGEST_WAIT)

    def dramatiq_options(self) -> Mapping[str, Any]:
        """Return the same policy in Dramatiq's words, for tasks that are not durable."""
        return {
            "max_retries": self.max_retries,
            "min_backoff": _milliseconds(self.min_backoff),
            "max_backoff": _milliseconds(self.max_backoff),
            "throws": (PermanentError, TaskArgumentError, *self.dont_retry_on),
            **({"max_age": _milliseconds(self.expires)} if self.expires else {}),
        }

    def _is_worth_retrying(self, error: BaseException) -> bool:
        if isinstance(error, (PermanentError, TaskArgumentError, *self.dont_retry_on)):
            return False
        # A time limit or an exit raised in the task is no Exception, yet worth another attempt.
        return isinstance(error, (*self.retry_on, RetryLater)) or not isinstance(error, Exception)

    def _backoff(self, failures: int) -> timedelta:
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        # In seconds, because doubling a timedelta can leave its range.
        doubled = self.min_backoff.total_seconds() * 2.0 ** min(failures - 1, 32)
        ceiling = min(doubled, self.max_backoff.total_seconds(), _LONGEST_WAIT.total_seconds())
        return timedelta(seconds=ceiling * random.uniform(0, 1))  # noqa: S311 (no secret depends on it)


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)

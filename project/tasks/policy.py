"""How a task is run: its queue, retries, limits."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from project.tasks.errors import PermanentError, RetryLater, TaskArgumentError, TaskDefinitionError

#: After this many deaths of its worker while it ran, a run is poison.
MAX_DEATHS = 3


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

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise TaskDefinitionError("max_retries counts retries after the first attempt: 0 or more.")
        if not timedelta(0) < self.min_backoff <= self.max_backoff:
            raise TaskDefinitionError("Backoff needs 0 < min_backoff <= max_backoff.")
        if self.time_limit <= timedelta(0):
            raise TaskDefinitionError("time_limit must be positive.")

    def retry_at(self, error: BaseException, *, failures: int) -> datetime | None:
        """Return when a failed run is tried again, or None if it is dead.

        Args:
            error: What the attempt raised.
            failures: How many attempts have raised, this one included.
        """
        if failures > self.max_retries or not self._is_worth_retrying(error):
            return None
        wait = error.after if isinstance(error, RetryLater) else self._backoff(failures)
        return timezone.now() + wait

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
        ceiling = min(self.max_backoff, self.min_backoff * 2 ** min(failures - 1, 32))
        return ceiling * random.uniform(0, 1)  # noqa: S311 (no secret depends on it)


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)

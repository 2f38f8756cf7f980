"""Until when something is waited for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock.

    Args:
        timeout: How long before it the wait began, in seconds.
        at: The moment, in seconds.
    """

    timeout: float
    at: float

    @classmethod
    def after(cls, timeout: float | timedelta) -> Deadline:
        """Return the moment that comes so many seconds, or a timedelta, after now."""
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds until then; 0 once it has passed."""
        return max(0.0, self.at - time.monotonic())

"""Clocks that tests set."""

from dataclasses import dataclass


@dataclass
class Clock:
    """A clock that a test sets, in the place of the module `time`."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

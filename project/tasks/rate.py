"""Rates: how many runs may start in a period, as in `rate_limit="100/minute"`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from project.tasks.errors import TaskDefinitionError

_PERIODS: Final = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
_FORM: Final = re.compile(rf"([1-9][0-9]{{0,8}})/({'|'.join(_PERIODS)})")
#: A start is recorded before the code starts, and the code starts within this time of it, or not at all: how long a
#: commit and the way to the code may take on a busy machine.
LONGEST_GRACE: Final = timedelta(seconds=1)
#: A short period allows for less, so that its limit can still be reached: nine tenths of it for "10/second".
_SHARE_OF_PERIOD: Final = 0.1


@dataclass(frozen=True)
class Rate:
    """How many runs may start in a period, whichever one: the period is a window that slides.

    Args:
        limit: How many.
        period: The length of the window.
    """

    limit: int
    period: timedelta

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read "100/minute".

        Raises:
            TaskDefinitionError: If it is written otherwise.
        """
        match = _FORM.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            periods = ", ".join(_PERIODS)
            raise TaskDefinitionError(f'rate_limit is a number and a period ({periods}), as in "100/minute": {text!r}.')
        return cls(int(match[1]), _PERIODS[match[2]])

    @property
    def grace(self) -> timedelta:
        """How long after the record of its start a run's code may start."""
        return min(LONGEST_GRACE, self.period * _SHARE_OF_PERIOD)

    @property
    def counts_for(self) -> timedelta:
        """How long a recorded start counts: no two windows of code share it, however late the code started."""
        return self.period + self.grace

    def __str__(self) -> str:
        (period,) = (name for name, length in _PERIODS.items() if length == self.period)
        return f"{self.limit}/{period}"

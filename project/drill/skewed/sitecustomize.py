"""Sets a Python process's clock wrong by `CLOCK_SKEW` seconds.

Python imports a `sitecustomize` that is on its path before anything else, so that whoever puts this directory into
`PYTHONPATH` starts processes, and their processes, whose wall clock is ahead (or behind, if negative). Clocks that
only measure durations are left alone, as they are when a machine's clock is wrong.
"""

import datetime as dt
import os
import time
import warnings
from datetime import date, datetime, tzinfo

_SKEW = float(os.environ.get("CLOCK_SKEW", "0"))
_time, _time_ns = time.time, time.time_ns


class _AlsoTheStandardOne(type):
    """Takes what the standard library's own code makes for instances of the class that stands in for it."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__mro__[1])


class _SkewedDatetime(datetime, metaclass=_AlsoTheStandardOne):
    """The standard one, but for what it takes for now."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """Return the wrong time."""
        return datetime.fromtimestamp(time.time(), tz)


class _SkewedDate(date, metaclass=_AlsoTheStandardOne):
    """The standard one, but for what it takes for today."""

    @classmethod
    def today(cls) -> date:  # type: ignore[override]
        """Return the wrong day."""
        return datetime.fromtimestamp(time.time()).astimezone().date()


if _SKEW:
    # Compiled modules notice that the classes are of another size, which does them no harm.
    warnings.filterwarnings("ignore", message="datetime.* size changed")
    time.time = lambda: _time() + _SKEW
    time.time_ns = lambda: _time_ns() + int(_SKEW * 1_000_000_000)
    dt.datetime, dt.date = _SkewedDatetime, _SkewedDate  # type: ignore[misc]

"""Times, durations and errors as people read them: written the same way on pages, in commands and in log lines."""

from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone

_UNITS: Final = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


def utc(at: datetime | None) -> str:
    """Write a time in UTC to the second, such as `2025-03-29 01:00:00 UTC`; "-" for none."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def took(duration: timedelta | None) -> str:
    """Write a duration as exactly as one cares to know it: `250 ms`, `1.5 s`, `2 min 5 s`, `3 h 10 min`, `2 d 4 h`."""
    if duration is None:
        return "-"
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def roughly(duration: timedelta | None) -> str:
    """Write a duration with one unit, such as `90 s`, `5 min` or `3 d`; "-" for none."""
    if duration is None:
        return "-"
    for name, size in _UNITS:
        if duration >= 2 * size:
            return f"{duration // size} {name}"
    return f"{int(duration.total_seconds())} s"


def from_now(at: datetime | None) -> str:
    """Write how far a time is from now, such as `in 5 min` or `3 h ago`; "-" for none."""
    if at is None:
        return "-"
    age = timezone.now() - at
    return f"in {roughly(-age)}" if age < timedelta(0) else f"{roughly(age)} ago"


def error_text(error_type: str, error: str) -> str:
    """Write an error in one piece, such as `ValueError: broken`; either part may be empty."""
    return ": ".join(part for part in (error_type, error) if part)


def exception_text(error: Exception) -> str:
    """Write an exception in one piece, such as `ValueError: broken`."""
    return error_text(type(error).__name__, str(error).strip())

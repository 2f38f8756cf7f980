"""What a sub-command answers: for people as lines, for scripts as JSON."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.utils import timezone

from project.values.fields import LONGEST

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Answer:
    """What a sub-command found out or did.

    Args:
        data: For scripts: anything that is JSON, with ids and times.
        lines: For people.
        is_bad: Whether it is a finding or a failure, so that the command exits with 1.
    """

    data: Any
    lines: Sequence[str] = field(default_factory=list)
    is_bad: bool = False


def table(rows: Sequence[Mapping[str, Any]], *, empty: str) -> list[str]:
    """Lay rows out in columns, numbers to the right.

    Args:
        rows: All with the same keys, which become the header.
        empty: What to say if there are none.
    """
    if not rows:
        return [empty]
    cells = [{name: "-" if value in (None, "") else str(value) for name, value in row.items()} for row in rows]
    widths = {name: max(len(name), *(len(row[name]) for row in cells)) for name in rows[0]}
    right = {name for name in rows[0] if all(isinstance(row[name], int | float) for row in rows)}

    def line(row: Mapping[str, str]) -> str:
        padded = (row[name].rjust(width) if name in right else row[name].ljust(width) for name, width in widths.items())
        return "  ".join(padded).rstrip()

    return [line({name: name.upper() for name in widths}), *map(line, cells)]


def facts(pairs: Mapping[str, Any]) -> list[str]:
    """Lay out names and values, without those that have none."""
    given = {name: value for name, value in pairs.items() if value not in (None, "", [], {})}
    width = max(map(len, given), default=0)
    return [f"{name.ljust(width)}  {value}" for name, value in given.items()]


def at(moment: datetime | None) -> str:
    """Write a time to the second."""
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def ago(moment: datetime | None) -> str:
    """Write how long ago, or how far ahead, a time is."""
    if moment is None:
        return "-"
    seconds = (timezone.now() - moment).total_seconds()
    return f"in {brief(-seconds)}" if seconds < 0 else f"{brief(seconds)} ago"


def brief(seconds: float | None) -> str:
    """Write a duration with one unit."""
    if seconds is None:
        return "-"
    for name, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{name}"
    return f"{seconds:.0f}s" if seconds >= 10 else f"{seconds * 1000:.0f}ms"  # noqa: PLR2004 - seconds


def duration(text: str) -> timedelta:
    """Read a duration such as ``90s``, ``15m``, ``2h`` or ``7d``.

    Raises:
        ArgumentTypeError: If it is none, or longer than a hundred years.
    """
    match = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no duration: write one such as 90s, 15m, 2h or 7d")
    return _bounded(timedelta(seconds=int(match[1]) * _UNITS[match[2]]))


def days(text: str) -> int:
    """Read a number of days.

    Raises:
        ArgumentTypeError: If it is none, or negative, or a hundred years and more.
    """
    return _bounded(timedelta(days=whole_number(text))).days


def _bounded(length: timedelta) -> timedelta:
    if length > LONGEST:
        raise ArgumentTypeError("that is longer than 100 years")
    return length


def whole_number(text: str) -> int:
    """Read a number.

    Raises:
        ArgumentTypeError: If it is none, or negative.
    """
    if not re.fullmatch(r"\d{1,6}", text):
        raise ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def run_id(text: str) -> UUID:
    """Read a run's id.

    Raises:
        ArgumentTypeError: If it is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no run's id") from None

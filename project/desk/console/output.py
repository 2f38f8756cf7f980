"""What a sub-command answers: for people as lines, for scripts as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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

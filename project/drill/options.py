"""What a drill can be told."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a drill is run; see `add_arguments` for what each means."""

    tasks: int
    kills: int
    processes: int
    threads: int
    milliseconds: int
    seed: int
    patience: float
    configured: bool
    json: bool
    keep: bool

    @classmethod
    def of(cls, values: dict[str, Any]) -> Options:
        """Take the options out of what a command line was parsed to."""
        return cls(**{field.name: values[field.name] for field in fields(cls)})

    def arguments(self) -> list[str]:
        """Return the command line that is parsed to these options."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        flags = [f"--{name}" for name, value in values.items() if value is True]
        return flags + [f"--{name}={value}" for name, value in values.items() if not isinstance(value, bool)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    numbers = {
        "--tasks": (2000, "how many durable runs are sent"),
        "--kills": (20, "how many worker processes are killed; the rest of the chaos follows from it"),
        "--processes": (4, "how many worker processes"),
        "--threads": (8, "how many threads each of them has"),
        "--milliseconds": (100, "how long a run takes on average"),
        "--seed": (0, "the seed of the random numbers: the same seed, the same chaos"),
    }
    for name, (default, text) in numbers.items():
        parser.add_argument(name, type=int, default=default, help=f"{text} (%(default)s)")
    parser.add_argument(
        "--patience",
        type=float,
        default=90.0,
        help="count runs as lost after so many seconds without progress (%(default)s)",
    )
    parser.add_argument(
        "--configured",
        action="store_true",
        help="use the configured database and broker, and only kill processes; by default the drill has its own "
        "servers, which it also stops, flushes and restarts",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the logs and the rows")

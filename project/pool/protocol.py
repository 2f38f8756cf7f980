"""What a supervisor and the worker processes of its pool say to each other: one line each, over a pair of sockets.

| From   | Line                    | Meaning                                                                          |
| ------ | ----------------------- | -------------------------------------------------------------------------------- |
| worker | `ready`                 | It works. It holds nothing that would have to be freed if it died.               |
| worker | `ready WORKER/BROKER`   | It takes messages, under these names.                                            |
| worker | `replace me`            | It has reached a limit: it should be drained, and another started in its place.  |
| worker | `last chances`          | Runs on their last chance wait for a process of their own; said again and again. |
| worker | `buried WORKER/BROKER`  | What that dead process held is free.                                             |
| worker | `fork MODULE:FUNCTION`  | That function wants a process of its own, one in the pool; said by each worker.  |
| pool   | `bury WORKER/BROKER`    | That process is dead for certain: free what it held.                             |

Nothing else travels here. A worker process is drained by SIGHUP, or by the end of the connection.

While a new release is rolled out in place, a supervisor may have worker processes of another release. So a release
adds lines and never changes one, and a line that the other side does not know is logged, once for each kind, and
ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

#: Bytes. The longest line of today has some 80; what is longer is not kept in memory to its end.
LONGEST_LINE = 1024
#: So many kinds of unknown lines are told; who sends more of them sends noise.
MOST_KINDS_TOLD = 20
#: Characters of an unknown line that the log shows.
_SHOWN = 40


@dataclass(frozen=True)
class Names:
    """What a worker process is called where it holds things.

    Args:
        worker_id: The id of its row, which its claims name.
        broker_id: The name under which it has fetched messages from Redis.
    """

    worker_id: UUID
    broker_id: str

    def __str__(self) -> str:
        """Write it as the lines do."""
        return f"{self.worker_id}/{self.broker_id}"


@dataclass(frozen=True)
class Ready:
    """The process works, and under these names takes messages; without names, it takes none."""

    names: Names | None = None


@dataclass(frozen=True)
class ReplaceMe:
    """The process has reached one of its limits."""


@dataclass(frozen=True)
class LastChancesWait:
    """Runs on their last chance wait for a process of their own."""


@dataclass(frozen=True)
class Freed:
    """What a dead process held is free."""

    names: Names


@dataclass(frozen=True)
class RunFork:
    """Some middleware wants a function to be run in a process of its own, one in the pool.

    Args:
        function: Its name, as in `module:function`.
    """

    function: str


@dataclass(frozen=True)
class FreeRunsOf:
    """A process is dead for certain, and what it held has to be freed."""

    names: Names


FromWorker: TypeAlias = Ready | ReplaceMe | LastChancesWait | Freed | RunFork
FromSupervisor: TypeAlias = FreeRunsOf
M = TypeVar("M")


class UnknownLineError(ValueError):
    """A line that this release does not understand.

    Args:
        line: The whole line.
    """

    def __init__(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        super().__init__(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
        self.kind = text.partition(" ")[0]


def format_line(message: FromWorker | FromSupervisor) -> bytes:
    """Write a message as the line that says it."""
    return f"{_words(message)}\n".encode()


def parse_from_worker(line: bytes) -> FromWorker:
    """Read what a worker process said.

    Args:
        line: Without its end.

    Raises:
        UnknownLineError: If it is not one of the lines above.
    """
    match line.split(b" "):
        case [b"ready"]:
            return Ready()
        case [b"ready", names]:
            return Ready(_parse_names(names, line=line))
        case [b"replace", b"me"]:
            return ReplaceMe()
        case [b"last", b"chances"]:
            return LastChancesWait()
        case [b"buried", names]:
            return Freed(_parse_names(names, line=line))
        case [b"fork", function] if re.fullmatch(rb"[\w.]+:\w+", function):
            return RunFork(function.decode())
    raise UnknownLineError(line)


def parse_from_supervisor(line: bytes) -> FromSupervisor:
    """Read what the supervisor said.

    Args:
        line: Without its end.

    Raises:
        UnknownLineError: If it is not one of the lines above.
    """
    match line.split(b" "):
        case [b"bury", names]:
            return FreeRunsOf(_parse_names(names, line=line))
    raise UnknownLineError(line)


class Reader(Generic[M]):
    """Turns what arrives from one side, in pieces of any size, into messages.

    Args:
        parse: Reads one line.
        report: Called with the first line of each kind that cannot be read.
    """

    def __init__(self, parse: Callable[[bytes], M], *, report: Callable[[UnknownLineError], object]) -> None:
        self._parse = parse
        self._report = report
        self._incomplete = b""
        self._told: set[str] = set()

    def read(self, received: bytes) -> list[M]:
        """Return the messages that are complete now.

        Args:
            received: What has arrived since the last call.
        """
        *lines, rest = (self._incomplete + received).split(b"\n")
        # What is longer than any line stays so when it is cut, and is as unknown as the whole.
        self._incomplete = rest[:LONGEST_LINE]
        return [message for line in lines if (message := self._understand(line)) is not None]

    def _understand(self, line: bytes) -> M | None:
        try:
            return self._parse(line)
        except UnknownLineError as error:
            if error.kind not in self._told and len(self._told) < MOST_KINDS_TOLD:
                self._told.add(error.kind)
                self._report(error)
        return None


def _words(message: FromWorker | FromSupervisor) -> str:
    match message:
        case Ready(names=names):
            return f"ready {names}" if names else "ready"
        case ReplaceMe():
            return "replace me"
        case LastChancesWait():
            return "last chances"
        case Freed(names=names):
            return f"buried {names}"
        case RunFork(function=function):
            return f"fork {function}"
        case FreeRunsOf(names=names):
            return f"bury {names}"


def _parse_names(written: bytes, *, line: bytes) -> Names:
    try:
        worker_id, broker_id = written.decode().split("/")
        names = Names(UUID(worker_id), broker_id)
    except ValueError as error:
        raise UnknownLineError(line) from error
    if not broker_id or len(line) > LONGEST_LINE:
        raise UnknownLineError(line)
    return names

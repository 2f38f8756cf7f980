"""UUIDs that sort by the time they were made (RFC 9562, version 7)."""

import hashlib
import os
import time
from datetime import datetime
from typing import Final
from uuid import UUID

_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0x2 << 62
_REST: Final = ~(0xF << 76 | 0x3 << 62) & (1 << 80) - 1

_NUMBER = 0xFFFF_FFFF


def uuid7() -> UUID:
    """Make a UUID whose first 48 bits are the milliseconds since 1970; 12 more divide these, the rest is random."""
    return _uuid7_now(int.from_bytes(os.urandom(8), "big"))


def uuid7s(count: int) -> list[UUID]:
    """Make UUIDs as `uuid7` does, with what is random drawn at once: each draw is a system call.

    Args:
        count: How many.
    """
    drawn = os.urandom(8 * count)
    return [_uuid7_now(int.from_bytes(drawn[start : start + 8], "big")) for start in range(0, 8 * count, 8)]


def uuid7_series(count: int) -> list[UUID]:
    """Make UUIDs that belong together: their last 32 bits number them from 0, so that one of them tells all.

    Args:
        count: How many, below 2**32.
    """
    first = series_of(uuid7())
    return [UUID(int=first + number) for number in range(count)]


def series_of(one: UUID) -> int:
    """Return what the UUIDs of a series have in common, as a number to add theirs to."""
    return one.int & ~_NUMBER


def number_of(one: UUID) -> int:
    """Return which UUID of its series one is, from 0."""
    return one.int & _NUMBER


def uuid7_of(name: str, *, at: datetime) -> UUID:
    """Return the one UUID of a name at a time; it sorts among the others by that time.

    Args:
        name: What it stands for.
        at: An aware time.
    """
    digest = hashlib.sha256(f"{name}|{at.timestamp()}".encode()).digest()
    return _uuid7(_milliseconds(at), int.from_bytes(digest[:10], "big"))


def first_uuid7(at: datetime) -> UUID:
    """Return the bound between the UUIDs made before a time and those made since.

    Args:
        at: An aware time.
    """
    return UUID(int=max(_milliseconds(at), 0) << 80)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _uuid7_now(drawn: int) -> UUID:
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    return _uuid7(milliseconds, (nanoseconds << 12) // 1_000_000 << 64 | drawn)


def _uuid7(milliseconds: int, rest: int) -> UUID:
    """Return a UUID with its version and its variant, in the place of 6 of the 80 bits of `rest`."""
    return UUID(int=milliseconds << 80 | rest & _REST | _VERSION_AND_VARIANT)

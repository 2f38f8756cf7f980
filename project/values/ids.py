"""UUIDs that sort by the time they were made (RFC 9562, version 7)."""

import hashlib
import os
import time
from datetime import datetime
from uuid import UUID

_NUMBER = 0xFFFF_FFFF


def uuid7() -> UUID:
    """Make a UUID whose first 48 bits are the milliseconds since 1970; 12 more divide these, the rest is random."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    return _uuid7(milliseconds, fraction.to_bytes(2, "big") + os.urandom(8))


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
    return _uuid7(_milliseconds(at), hashlib.sha256(f"{name}|{at.timestamp()}".encode()).digest()[:10])


def first_uuid7(at: datetime) -> UUID:
    """Return the bound between the UUIDs made before a time and those made since.

    Args:
        at: An aware time.
    """
    return UUID(int=max(_milliseconds(at), 0) << 80)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _uuid7(milliseconds: int, rest: bytes) -> UUID:
    value = (milliseconds << 80) | int.from_bytes(rest, "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return UUID(int=value)

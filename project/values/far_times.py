"""Times and durations that PostgreSQL can hold and Python cannot: read as the nearest that it can.

One row with `infinity` or the year 10000, written by SQL, would otherwise be an error for whoever reads the table.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.backends.postgresql.psycopg_any import get_adapters_template
from psycopg import DataError
from psycopg.types.datetime import IntervalLoader, TimestampLoader, TimestamptzLoader

# Two days from the ends, so that no time zone leads beyond them.
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)


class NearestInstant(TimestamptzLoader):
    """Loads a `timestamptz` in UTC, as Django's own loader does."""

    #: By this Django knows that it need not register its own.
    timezone = UTC

    def load(self, data: Any) -> datetime:
        """Return the time, or the first or last there is."""
        try:
            return super().load(data).replace(tzinfo=UTC)
        except DataError:
            return _nearest(bytes(data))


class NearestTime(TimestampLoader):
    """Loads a `timestamp`, which is what the database makes of a time that it truncates."""

    def load(self, data: Any) -> datetime:
        """Return the time, or the first or last there is."""
        try:
            return super().load(data)
        except DataError:
            return _nearest(bytes(data)).replace(tzinfo=None)


class NearestLength(IntervalLoader):
    """Loads an `interval`."""

    def load(self, data: Any) -> timedelta:
        """Return the duration, or the longest there is."""
        try:
            return super().load(data)
        except (DataError, OverflowError):
            return timedelta.min if bytes(data).startswith(b"-") else timedelta.max


def read_far_times() -> None:
    """Let every connection that Django opens from now on read such times."""
    template = get_adapters_template(settings.USE_TZ, UTC)
    template.register_loader("timestamptz", NearestInstant)
    template.register_loader("timestamp", NearestTime)
    template.register_loader("interval", NearestLength)


def _nearest(text: bytes) -> datetime:
    return _FIRST if text.startswith(b"-") or text.endswith(b"BC") else _LAST

"""Cron text and a time zone to UTC instants: pure, the same from any starting point and in any process.

The rule. When the hour field covers all 24 hours, a schedule fires at every real instant whose local time
matches. Otherwise each nominal local time fires exactly once a day: an ambiguous one at its first occurrence,
a nonexistent one at the first valid instant after the gap, and several that fall on one instant fire once.

The stepping is ours because no library at hand keeps the rule: APScheduler 3.11 skips and doubles days, and croniter
7.0 loses the minutes of a repeated half hour (`*/4 * * * *` in Lord Howe on 2025-04-05).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from scheduler.errors import CronError, UnknownTimeZoneError
from scheduler.grammar import Cron, parse

MINUTE: Final = timedelta(minutes=1)


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    """Every time zone of the tzdata package, which is pinned and so the same on every replica."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The zone of that name, read from the tzdata package and never from the machine.

    Raises:
        UnknownTimeZoneError: If there is no such zone.
    """
    if name not in time_zones():
        raise UnknownTimeZoneError(f"unknown time zone {name!r}: use a tz database name such as Europe/Berlin")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def fires(cron: str, time_zone: str, *, after: datetime) -> Iterator[datetime]:
    """Every fire time later than `after`, in order, in UTC.

    Args:
        cron: Five fields or a macro.
        time_zone: A tz database name.
        after: An aware instant; the first fire time is strictly later.

    Raises:
        ScheduleError: If the cron text or the time zone is not valid.
    """
    if after.tzinfo is None:
        raise ValueError("after must be an aware datetime: give it a time zone")
    expression, where = parse(cron), zone(time_zone)
    steps = _by_real_time if expression.every_hour else _by_wall_clock
    return steps(expression, where, after.astimezone(UTC))


def next_fire(cron: str, time_zone: str, after: datetime) -> datetime:
    """The first instant later than `after` at which the schedule fires, in UTC.

    Args:
        cron: Five fields or a macro.
        time_zone: A tz database name.
        after: An aware instant.

    Raises:
        ScheduleError: If the cron text or the time zone is not valid.
    """
    try:
        return next(fires(cron, time_zone, after=after))
    except OverflowError:
        raise CronError(f"{cron!r} does not fire again before the year 10000") from None


def _by_wall_clock(cron: Cron, where: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Each nominal time once; several may fall on the end of a gap, which is one fire."""
    latest = after
    start = after.astimezone(where).replace(second=0, microsecond=0, tzinfo=None)
    for nominal in cron.nominal_times(start):
        if (fire := _first_instant(nominal, where)) > latest:
            latest = fire
            yield fire


def _by_real_time(cron: Cron, where: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Every real minute at which the wall clock shows a nominal time."""
    now = after.replace(second=0, microsecond=0) + MINUTE
    while True:
        local = now.astimezone(where)
        if not cron.matches_day(local):
            now = _next_midnight(local, where)
        elif local.minute in cron.minutes:
            yield now
            now += MINUTE
        else:
            now = _next_minute(cron, local, where)


def _next_minute(cron: Cron, local: datetime, where: ZoneInfo) -> datetime:
    """The next instant worth looking at: a minute of this hour that matches, or the hour's end."""
    now = local.astimezone(UTC)
    later = now + (min((m for m in cron.minutes if m > local.minute), default=60) - local.minute) * MINUTE
    # Some zones change in the middle of an hour; there, look at every minute.
    return later if later.astimezone(where).utcoffset() == local.utcoffset() else now + MINUTE


def _next_midnight(local: datetime, where: ZoneInfo) -> datetime:
    midnight = local.replace(hour=0, minute=0, fold=0, tzinfo=None) + timedelta(days=1)
    first = _first_instant(midnight, where)
    # Where the clock goes back over midnight, the first one may already be behind us.
    return first if first > local.astimezone(UTC) else midnight.replace(tzinfo=where, fold=1).astimezone(UTC)


def _first_instant(nominal: datetime, where: ZoneInfo) -> datetime:
    """The first instant at which the wall clock shows `nominal`, or the end of the gap it lies in."""
    instant = nominal.replace(tzinfo=where).astimezone(UTC)
    if instant.astimezone(where).replace(tzinfo=None) == nominal:
        return instant
    # In a gap, fold=1 means the later offset, which is an instant before the gap (PEP 495).
    instant = nominal.replace(tzinfo=where, fold=1).astimezone(UTC)
    before = instant.astimezone(where).utcoffset()
    while instant.astimezone(where).utcoffset() == before:
        instant += MINUTE
    return instant

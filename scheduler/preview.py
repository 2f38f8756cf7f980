"""The next fire times of cron text, as a person wants to see them: local, UTC, and what daylight saving does."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from scheduler.crontab import fires, zone
from scheduler.grammar import parse

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Fire:
    """One fire time.

    Args:
        at: The instant, in UTC.
        local: What the wall clock shows then.
        mark: "gap", "repeat", or "" on an ordinary day.
        note: What the mark means for this fire, in words.
    """

    at: datetime
    local: datetime
    mark: str = ""
    note: str = ""


def preview(
    cron: str, time_zone: str, *, after: datetime, count: int | None = None, until: datetime | None = None
) -> Iterator[Fire]:
    """The fire times after an instant, each with its mark.

    Args:
        cron: Five fields or a macro.
        time_zone: A tz database name.
        after: An aware instant; the first fire time is strictly later.
        count: How many at most.
        until: An aware instant; the last fire time is not later.

    Raises:
        ScheduleError: If the cron text or the time zone is not valid.
    """
    times = fires(cron, time_zone, after=after)
    if until is not None:
        times = takewhile(lambda fire: fire <= until, times)
    return (_marked(cron, time_zone, fire) for fire in islice(times, count))


def utc_text(at: datetime) -> str:
    """An instant as scripts read it: `2025-03-29T01:00Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _marked(cron: str, time_zone: str, fire: datetime) -> Fire:
    local = fire.astimezone(zone(time_zone))
    note = _gap_note(cron, local)
    if note:
        return Fire(fire, local, "gap", note)
    note = _repeat_note(cron, local)
    return Fire(fire, local, "repeat" if note else "", note)


def _gap_note(cron: str, local: datetime) -> str:
    """Say which nominal times the clock jumped over just before this fire."""
    expression = parse(cron)
    reach = timedelta(hours=1) if expression.every_hour else MINUTE
    before = (local.astimezone(UTC) - reach).astimezone(local.tzinfo)
    jump = _offset(local) - _offset(before)
    if jump <= timedelta(0):
        return ""
    wall = local.replace(tzinfo=None)
    end = next(wall - n * MINUTE for n in range(61) if not _exists(wall - (n + 1) * MINUTE, local))
    missing = [t for t in _minutes(end - jump, end) if expression.matches(t)]
    if not missing:
        return ""
    skipped = f"clocks jump from {end - jump:%H:%M} to {end:%H:%M}, so {_times(missing)} does not exist that day"
    return f"{skipped}; it is not made up for" if expression.every_hour else f"{skipped}; it fires at {end:%H:%M}"


def _repeat_note(cron: str, local: datetime) -> str:
    """Say that the wall clock shows this time twice that day."""
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return ""
    if not parse(cron).every_hour:
        return f"the clock shows {local:%H:%M} twice that day; it fires the first time only"
    return f"the clock shows {local:%H:%M} twice that day; this is the {'second' if local.fold else 'first'} time"


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)


def _exists(wall: datetime, local: datetime) -> bool:
    there = wall.replace(tzinfo=local.tzinfo, fold=0)
    return there.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) == wall


def _minutes(start: datetime, end: datetime) -> Iterator[datetime]:
    return (start + n * MINUTE for n in range((end - start) // MINUTE))


def _times(missing: list[datetime]) -> str:
    first, last = f"{missing[0]:%H:%M}", f"{missing[-1]:%H:%M}"
    return first if len(missing) == 1 else f"{first}-{last}"  # a range: a cron may match every minute of the gap

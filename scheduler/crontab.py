"""Cron text and a time zone to UTC instants: pure, the same from any starting point and in any process.

The rule. When the hour field covers all 24 hours, a schedule fires at every real instant whose local time
matches. Otherwise each nominal local time fires exactly once a day: an ambiguous one at its first occurrence,
a nonexistent one at the first valid instant after the gap, and several that fall on one instant fire once.
"""

import contextlib
import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from scheduler.errors import CronError, UnknownTimeZoneError

MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
PART: Final = re.compile(r"(?:(?P<all>\*)|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five columns: the values it may hold and the names some of them have."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    alias: int | None = None  # one past the highest value, and another way to write the lowest (7 = Sunday)

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.high - self.low + 1

    def parse(self, text: str) -> frozenset[int]:
        """The values that a list such as ``1-5,*/20`` stands for."""
        return frozenset(value for part in text.split(",") for value in self._parse_part(part))

    def _parse_part(self, text: str) -> Iterator[int]:
        if (match := PART.fullmatch(text)) is None:
            raise CronError(f"{self.name}: {text!r} is not *, a value, a range or a step such as */5")
        step = int(match["step"] or 1)
        if step == 0:
            raise CronError(f"{self.name}: the step in {text!r} must be at least 1")
        low = self.low if match["all"] else self._value(match["low"])
        high = self._last(match, low)
        if high < low:
            high += self.size  # 22-2 and fri-mon go round
        return ((value - self.low) % self.size + self.low for value in range(low, high + 1, step))

    def _last(self, match: re.Match[str], low: int) -> int:
        if match["high"]:
            return self._value(match["high"])
        return self.high if match["all"] or match["step"] else low

    def _value(self, text: str) -> int:
        if text in self.names:
            return self.names.index(text) + self.low
        if not text.isdigit():
            raise CronError(f"{self.name}: {text!r} is not {self._allowed}")
        value = int(text)
        if not self.low <= value <= max(self.high, self.alias or 0):
            raise CronError(f"{self.name}: {value} is not {self._allowed}")
        return value

    @property
    def _allowed(self) -> str:
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"within {self.low}-{self.alias or self.high}{names}"


FIELDS: Final = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 6, WEEKDAYS, alias=7),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """Cron text that was understood: the values of each field and how the two day fields combine."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @property
    def every_hour(self) -> bool:
        """Whether the hour field covers the whole day, so that real time counts and not the wall clock."""
        return len(self.hours) == FIELDS[1].size

    def matches(self, local: datetime) -> bool:
        """Whether a wall clock that shows ``local`` is at one of the nominal times."""
        return local.minute in self.minutes and local.hour in self.hours and self.matches_day(local)

    def matches_day(self, local: datetime) -> bool:
        """Whether the date of ``local`` is one of the days."""
        day, weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return local.month in self.months and (day or weekday if self.either_day else day and weekday)

    def steps(self, after: datetime) -> Iterator[datetime]:
        """Every time after ``after`` in order, stepped by croniter in the zone of ``after``."""
        if not self.either_day:
            return self._steps(after, days=self.days, weekdays=self.weekdays)
        # croniter's own union compares wall clocks, and so loses fires in a repeated hour.
        by_day = self._steps(after, days=self.days, weekdays=FIELDS[4].parse("*"))
        by_weekday = self._steps(after, days=FIELDS[2].parse("*"), weekdays=self.weekdays)
        both = heapq.merge(by_day, by_weekday, key=_in_utc)
        return (next(same) for _, same in groupby(both, key=_in_utc))

    def _steps(self, after: datetime, *, days: frozenset[int], weekdays: frozenset[int]) -> Iterator[datetime]:
        columns = zip((self.minutes, self.hours, days, self.months, weekdays), FIELDS, strict=True)
        text = " ".join(_column(values, field) for values, field in columns)
        with contextlib.suppress(CroniterBadDateError, OverflowError):
            yield from croniter(text, after, ret_type=datetime, day_or=False)


def _in_utc(fire: datetime) -> datetime:
    return fire.astimezone(UTC)


def _column(values: frozenset[int], field: Field) -> str:
    return "*" if len(values) == field.size else ",".join(map(str, sorted(values)))


@lru_cache(maxsize=4096)
def parse(text: str) -> Cron:
    """Understand cron text: five fields or a macro such as ``@daily``.

    Raises:
        CronError: With the field and the reason, or because the text never fires.
    """
    columns = MACROS.get(text.strip().lower(), text.lower()).split()
    if len(columns) != len(FIELDS):
        raise CronError(f"needs five fields (minute hour day month weekday) or a macro, not {text!r}")
    minutes, hours, days, months, weekdays = map(Field.parse, FIELDS, columns)
    either = not columns[2].startswith("*") and not columns[4].startswith("*")
    if either and (len(days) == FIELDS[2].size or len(weekdays) == FIELDS[4].size):
        days, weekdays = FIELDS[2].parse("*"), FIELDS[4].parse("*")
    cron = Cron(minutes, hours, days, months, weekdays, either)
    _first(cron.steps(datetime(2000, 1, 1, tzinfo=UTC)), text)
    return cron


def _first(steps: Iterator[datetime], text: str) -> datetime:
    if (fire := next(steps, None)) is None:
        raise CronError(f"{text!r} never fires: no day ever matches")
    return fire


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
    """Every fire time later than ``after``, in order, in UTC.

    Args:
        cron: Five fields or a macro.
        time_zone: A tz database name.
        after: An aware instant; the first fire time is strictly later.

    Raises:
        ScheduleError: If the cron text or the zone is none.
    """
    if after.tzinfo is None:
        raise ValueError("after must be an aware datetime: give it a time zone")
    expression = parse(cron)
    steps = expression.steps(after.astimezone(zone(time_zone)))
    while True:
        fire = _first(steps, cron)
        # The second pass of a repeated hour is a fire of its own only where real time counts.
        if expression.every_hour or not fire.fold:
            yield fire.astimezone(UTC)


def next_fire(cron: str, time_zone: str, after: datetime) -> datetime:
    """The first instant later than ``after`` at which the schedule fires, in UTC.

    Args:
        cron: Five fields or a macro.
        time_zone: A tz database name.
        after: An aware instant.

    Raises:
        ScheduleError: If the cron text or the zone is none.
    """
    return next(fires(cron, time_zone, after=after))

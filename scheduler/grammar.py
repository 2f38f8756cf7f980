"""The cron text itself: five fields or a macro, understood strictly or refused with a reason."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import product
from typing import Final

from scheduler.errors import CronError

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
LONGEST_MONTH: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
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
        """The values that a list such as `1-5,*/20` stands for."""
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
        """Whether a wall clock that shows `local` is at one of the nominal times."""
        return local.minute in self.minutes and local.hour in self.hours and self.matches_day(local)

    def matches_day(self, local: date) -> bool:
        """Whether a date is one of the days."""
        day, weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return local.month in self.months and (day or weekday if self.either_day else day and weekday)

    def nominal_times(self, start: datetime) -> Iterator[datetime]:
        """Every time from `start` on that a wall clock without daylight saving would fire at, naive and in order."""
        times = [time(hour, minute) for hour, minute in product(sorted(self.hours), sorted(self.minutes))]
        for day in self._dates(start.date()):
            for at in times:
                if (nominal := datetime.combine(day, at)) >= start:
                    yield nominal

    def _dates(self, day: date) -> Iterator[date]:
        while True:
            if day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=31)).replace(day=1)
                continue
            if self.matches_day(day):
                yield day
            day += timedelta(days=1)


@lru_cache(maxsize=4096)
def parse(text: str) -> Cron:
    """Understand cron text: five fields or a macro such as `@daily`.

    Raises:
        CronError: With the field and the reason, or because the text never fires.
    """
    columns = MACROS.get(text.strip().lower(), text.lower()).split()
    if len(columns) != len(FIELDS):
        raise CronError(f"needs five fields (minute hour day month weekday) or a macro, not {text!r}")
    minutes, hours, days, months, weekdays = map(Field.parse, FIELDS, columns)
    either = not columns[2].startswith("*") and not columns[4].startswith("*")
    if not either and min(days) > max(map(LONGEST_MONTH.__getitem__, months)):
        raise CronError(f"{text!r} never fires: none of its months has such a day")
    return Cron(minutes, hours, days, months, weekdays, either)

"""Cron text in plain language: "at 02:00, every day, Europe/Berlin"."""

from collections.abc import Callable, Sequence
from itertools import product

from scheduler.crontab import zone
from scheduler.grammar import FIELDS, MACROS, Cron, parse

MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
ORDINALS = {"2": "nd", "3": "rd"}
#: Times of day that are listed one by one; more would not be read.
MOST_TIMES = 6


def describe(cron: str, time_zone: str) -> str:
    """Cron text as a person would say it.

    Args:
        cron: Five fields or a macro.
        time_zone: A tz database name.

    Raises:
        ScheduleError: If the cron text or the time zone is not valid.
    """
    expression = parse(cron)
    columns = MACROS.get(cron.strip().lower(), cron).split()
    return f"{_time(expression, columns)}, {_day(expression)}, {zone(time_zone).key}"


def _time(cron: Cron, columns: Sequence[str]) -> str:
    if not cron.every_hour and len(cron.minutes) * len(cron.hours) <= MOST_TIMES:
        times = product(sorted(cron.hours), sorted(cron.minutes))
        return f"at {_list([f'{hour:02}:{minute:02}' for hour, minute in times])}"
    minute = _minute(cron, columns[0])
    return f"{minute}{_hour(cron, columns[1], minute=minute)}"


def _minute(cron: Cron, text: str) -> str:
    if len(cron.minutes) == FIELDS[0].size:
        return "every minute"
    step = text.removeprefix("*/")
    if step != text and step.isdigit() and FIELDS[0].size % int(step) == 0:
        return f"every {int(step)} minutes" if int(step) < FIELDS[0].size else "at minute 0"
    plural = "s" if len(cron.minutes) > 1 else ""
    return f"at minute{plural} {_ranges(cron.minutes, str)}"


def _hour(cron: Cron, text: str, *, minute: str) -> str:
    if cron.every_hour:
        return " of every hour" if minute.startswith("at") else ""
    step = text.removeprefix("*/")
    if step != text and step.isdigit() and FIELDS[1].size % int(step) == 0:
        return f" of every {step}{ORDINALS.get(step, 'th')} hour from midnight"
    plural = "s" if len(cron.hours) > 1 else ""
    return f" of the hour{plural} {_ranges(cron.hours, lambda hour: f'{hour:02}')}"


def _day(cron: Cron) -> str:
    days = "" if len(cron.days) == FIELDS[2].size else f"on day {_ranges(cron.days, str)} of the month"
    weekdays = "" if len(cron.weekdays) == FIELDS[4].size else f"on {_weekdays(cron.weekdays)}"
    joined = (" or " if cron.either_day else " if it is also ").join(filter(None, (days, weekdays)))
    if len(cron.months) == FIELDS[3].size:
        return joined or "every day"
    return f"{joined or 'every day'} in {_ranges(cron.months, lambda month: MONTH_NAMES[month - 1])}"


def _weekdays(values: frozenset[int]) -> str:
    # People begin the week on Monday, so that Saturday and Sunday are one range.
    return _ranges(frozenset((value - 1) % 7 for value in values), lambda value: WEEKDAY_NAMES[(value + 1) % 7])


def _ranges(values: frozenset[int], name: Callable[[int], str]) -> str:
    """Values in order, three or more neighbours written as a range."""
    parts: list[str] = []
    run: list[int] = []
    for value in [*sorted(values), None]:
        if run and value != run[-1] + 1:
            parts += [f"{name(run[0])} to {name(run[-1])}"] if len(run) > 2 else map(name, run)  # noqa: PLR2004
            run = []
        if value is not None:
            run.append(value)
    return _list(parts)


def _list(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))

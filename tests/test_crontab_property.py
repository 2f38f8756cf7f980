"""The rule of the clock against an oracle that knows nothing of calendars.

It walks a real clock minute by minute, looks at what the wall shows, and keeps the latest time the wall ever showed;
what lies between is due.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from scheduler.crontab import fires, next_fire
from tests.zones import (
    BEIRUT,
    BERLIN,
    CAIRO,
    CARACAS,
    CHATHAM,
    DUBLIN,
    HAVANA,
    JUBA,
    KATHMANDU,
    LORD_HOWE,
    NEW_YORK,
    SANTIAGO,
    SAO_PAULO,
    ST_JOHNS,
    SYDNEY,
    TROLL,
)

MINUTE = timedelta(minutes=1)

TRANSITIONS = [
    (BERLIN, "2025-03-30"), (BERLIN, "2025-10-26"), (NEW_YORK, "2025-03-09"), (NEW_YORK, "2025-11-02"),
    (DUBLIN, "2025-03-30"), (DUBLIN, "2025-10-26"), (LORD_HOWE, "2025-04-05"), (LORD_HOWE, "2025-10-04"),
    (SYDNEY, "2025-04-05"), (SYDNEY, "2025-10-04"), (CHATHAM, "2025-04-05"), (CHATHAM, "2025-09-27"),
    (CAIRO, "2026-04-23"), (CAIRO, "2025-10-30"), (BEIRUT, "2025-03-29"), (BEIRUT, "2025-10-25"),
    (HAVANA, "2025-03-09"), (HAVANA, "2025-11-02"), (SAO_PAULO, "2018-11-04"), (SAO_PAULO, "2019-02-17"),
    (SANTIAGO, "2025-09-07"), (SANTIAGO, "2025-04-06"), (ST_JOHNS, "2011-03-13"), (ST_JOHNS, "2011-11-06"),
    (TROLL, "2025-03-30"), (TROLL, "2025-10-26"), (JUBA, "2021-01-31"), (CARACAS, "2016-05-01"),
    ("Africa/Casablanca", "2025-02-23"), ("Africa/Casablanca", "2025-04-06"), ("Asia/Pyongyang", "2018-05-04"),
    ("Atlantic/Azores", "2025-03-30"), ("Atlantic/Azores", "2025-10-26"), ("Europe/Volgograd", "2020-12-26"),
    ("America/Nuuk", "2025-03-30"), ("America/Scoresbysund", "2024-03-31"), ("Asia/Gaza", "2025-04-11"),
    ("UTC", "2025-12-31"), (KATHMANDU, "2024-02-29"), ("Asia/Kolkata", "2025-06-30"),
]  # fmt: skip


@cache
def walk(name: str, day: str) -> list[tuple[datetime, datetime, list[datetime]]]:
    """Each real minute around a day, what the wall shows, and the nominal times that became due with it."""
    start = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=1)
    wall = ZoneInfo(name)
    latest = (start - timedelta(hours=6)).astimezone(wall).replace(tzinfo=None)
    minutes = []
    for elapsed in range(3 * 24 * 60):
        now = start + elapsed * MINUTE
        shown = now.astimezone(wall).replace(tzinfo=None)
        due = [latest + (1 + n) * MINUTE for n in range(max(0, (shown - latest) // MINUTE))]
        latest = max(latest, shown)
        minutes.append((now, shown, due))
    return minutes


Column = tuple[str, frozenset[int]]


def columns(low: int, high: int, *, mostly: int | None = None) -> st.SearchStrategy[Column]:
    """Text of one field together with the values it means, made from the values and not by parsing."""
    every = st.just(("*", frozenset(range(low, high + 1))))
    value = st.integers(low, mostly or high)
    single = value.map(lambda v: (str(v), frozenset([v])))
    some = st.frozensets(value, min_size=1, max_size=4).map(lambda vs: (",".join(map(str, vs)), vs))
    between = st.tuples(value, value).map(sorted).map(lambda p: (f"{p[0]}-{p[1]}", frozenset(range(p[0], p[1] + 1))))
    step = st.integers(1, high).map(lambda n: (f"*/{n}", frozenset(range(low, high + 1, n))))
    return st.one_of(every, single, some, between, step)


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, list[frozenset[int]], bool]:
    minute = draw(columns(0, 59))
    hour = draw(st.one_of(columns(0, 23), columns(0, 23, mostly=3), st.just(("*", frozenset(range(24))))))
    day, weekday = draw(st.one_of(st.just(("*", frozenset(range(1, 32)))), columns(1, 31))), draw(columns(0, 6))
    month = ("*", frozenset(range(1, 13)))
    parts = [minute, hour, day, month, weekday]
    either = day[0][0] != "*" and weekday[0][0] != "*"
    return " ".join(part[0] for part in parts), [part[1] for part in parts], either


def walked(sets: list[frozenset[int]], *, either: bool, name: str, day: str) -> Iterator[datetime]:
    def named(t: datetime) -> bool:
        in_month, on_day, on_weekday = t.month in sets[3], t.day in sets[2], t.isoweekday() % 7 in sets[4]
        on = (on_day or on_weekday) if either else (on_day and on_weekday)
        return t.minute in sets[0] and t.hour in sets[1] and in_month and on

    real_time = len(sets[1]) == 24
    for now, shown, due in walk(name, day):
        if named(shown) if real_time else any(map(named, due)):
            yield now


@settings(max_examples=300, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(question=questions(), where=st.sampled_from(TRANSITIONS), offset=st.integers(0, 36 * 3600))
def test_the_rule_holds_against_a_clock_that_walks(
    question: tuple[str, list[frozenset[int]], bool], where: tuple[str, str], offset: int
) -> None:
    cron, sets, either = question
    after = walk(*where)[360][0] + timedelta(seconds=offset)
    end = walk(*where)[-1][0]
    wanted = [fire for fire in walked(sets, either=either, name=where[0], day=where[1]) if fire > after]
    found = list(takewhile(lambda fire: fire <= end, fires(cron, where[0], after=after)))
    assert found == wanted
    starts = found[:: max(1, len(found) // 8)]
    assert [next_fire(cron, where[0], start - timedelta(seconds=30)) for start in starts] == starts

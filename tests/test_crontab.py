"""The rule of the clock and its grammar: a table worked out by hand."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest

from scheduler.crontab import fires, next_fire, time_zones, zone
from scheduler.errors import CronError, ScheduleError, UnknownTimeZoneError
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

# cron text, zone, the instant we start from, and the fire times that follow; all in UTC, year and month once
CASES = [
    # a gap of an hour: Berlin, 2025-03-30, 02:00 becomes 03:00 at 01:00Z
    ("0 2 * * *", BERLIN, "2025-03-29T12:00", "03-30T01:00 03-31T00:00"),
    ("30 2 * * *", BERLIN, "2025-03-29T12:00", "03-30T01:00 03-31T00:30"),
    ("0 3 * * *", BERLIN, "2025-03-29T12:00", "03-30T01:00 03-31T01:00"),
    ("0,30 2,3 * * *", BERLIN, "2025-03-29T12:00", "03-30T01:00 03-30T01:30 03-31T00:00"),
    ("*/20 2 * * *", BERLIN, "2025-03-29T12:00", "03-30T01:00 03-31T00:00 03-31T00:20 03-31T00:40"),
    ("0 */2 * * *", BERLIN, "2025-03-29T22:30", "03-29T23:00 03-30T01:00 03-30T02:00 03-30T04:00"),
    ("30 * * * *", BERLIN, "2025-03-30T00:00", "03-30T00:30 03-30T01:30 03-30T02:30"),
    ("0 0 * * *", BERLIN, "2025-03-29T12:00", "03-29T23:00 03-30T22:00 03-31T22:00"),
    ("0 0 1 * *", BERLIN, "2025-03-30T12:00", "03-31T22:00 04-30T22:00"),
    ("0 0 * * mon", BERLIN, "2025-03-29T12:00", "03-30T22:00 04-06T22:00"),
    ("15 2 30 3 *", BERLIN, "2025-03-01T00:00", "03-30T01:00"),
    # a repeated hour: Berlin, 2025-10-26, 03:00 becomes 02:00 at 01:00Z
    ("0 2 * * *", BERLIN, "2025-10-25T12:00", "10-26T00:00 10-27T01:00"),
    ("30 2 * * *", BERLIN, "2025-10-25T12:00", "10-26T00:30 10-27T01:30"),
    ("0 3 * * *", BERLIN, "2025-10-25T12:00", "10-26T02:00 10-27T02:00"),
    ("*/30 2 * * *", BERLIN, "2025-10-25T12:00", "10-26T00:00 10-26T00:30 10-27T01:00"),
    ("0 * * * *", BERLIN, "2025-10-25T23:30", "10-26T00:00 10-26T01:00 10-26T02:00"),
    ("*/30 * * * *", BERLIN, "2025-10-25T23:30", "10-26T00:00 10-26T00:30 10-26T01:00 10-26T01:30"),
    ("30 0-23 * * *", BERLIN, "2025-10-26T00:00", "10-26T00:30 10-26T01:30 10-26T02:30"),
    ("0 0-22 * * *", BERLIN, "2025-10-25T23:30", "10-26T00:00 10-26T02:00"),
    ("30 2 * * *", BERLIN, "2025-10-26T00:45", "10-27T01:30"),
    # the other hemispheres and oceans
    ("30 1 * * *", NEW_YORK, "2025-11-01T12:00", "11-02T05:30 11-03T06:30"),
    ("30 2 * * *", NEW_YORK, "2025-03-08T12:00", "03-09T07:00 03-10T06:30"),
    ("30 2 * * *", SYDNEY, "2025-10-04T00:00", "10-04T16:00 10-05T15:30"),
    ("30 2 * * *", SYDNEY, "2025-04-05T00:00", "04-05T15:30 04-06T16:30"),
    ("30 1 * * *", DUBLIN, "2025-03-29T12:00", "03-30T01:00 03-31T00:30"),
    ("30 1 * * *", DUBLIN, "2025-10-25T12:00", "10-26T00:30 10-27T01:30"),
    # half an hour: Lord Howe
    ("15 2 * * *", LORD_HOWE, "2025-10-04T00:00", "10-04T15:30 10-05T15:15"),
    ("30 2 * * *", LORD_HOWE, "2025-10-04T00:00", "10-04T15:30 10-05T15:30"),
    ("15 * * * *", LORD_HOWE, "2025-10-04T15:00", "10-04T16:15 10-04T17:15"),
    ("45 1 * * *", LORD_HOWE, "2025-04-05T00:00", "04-05T14:45 04-06T15:15"),
    ("30 1 * * *", LORD_HOWE, "2025-04-05T00:00", "04-05T14:30 04-06T15:00"),
    ("45 * * * *", LORD_HOWE, "2025-04-05T14:30", "04-05T14:45 04-05T15:15 04-05T16:15"),
    ("0,45 * 1 * sun", LORD_HOWE, "2025-04-05T14:20", "04-05T14:45 04-05T15:15 04-05T15:30 04-05T16:15"),
    ("45 2 * * *", CARACAS, "2016-04-30T12:00", "05-01T07:00 05-02T06:45"),
    # two hours: Troll
    ("30 1 * * *", TROLL, "2025-03-29T12:00", "03-30T01:00 03-30T23:30"),
    ("0 2 * * *", TROLL, "2025-03-29T12:00", "03-30T01:00 03-31T00:00"),
    ("30 2 * * *", TROLL, "2025-10-25T12:00", "10-26T00:30 10-27T02:30"),
    # at midnight, where the day itself begins or ends late
    ("0 0 * * *", CAIRO, "2026-04-23T12:00", "04-23T22:00 04-24T21:00"),
    ("30 0 * * *", CAIRO, "2026-04-23T12:00", "04-23T22:00 04-24T21:30"),
    ("30 23 * * *", CAIRO, "2025-10-30T12:00", "10-30T20:30 10-31T21:30"),
    ("0 0 * * *", CAIRO, "2025-10-30T12:00", "10-30T22:00 10-31T22:00"),
    ("0 0 * * sun", BEIRUT, "2025-03-29T12:00", "03-29T22:00 04-05T21:00"),
    ("0 0 * * *", SAO_PAULO, "2018-11-03T12:00", "11-04T03:00 11-05T02:00"),
    ("15 0 * * *", HAVANA, "2025-03-08T12:00", "03-09T05:00 03-10T04:15"),
    ("0 0 * * *", SANTIAGO, "2025-09-06T12:00", "09-07T04:00 09-08T03:00"),
    ("30 23 * * *", JUBA, "2021-01-31T12:00", "01-31T20:30 02-01T21:30"),
    ("0 0 1 * *", JUBA, "2021-01-31T12:00", "01-31T22:00 02-28T22:00"),
    ("30 0 * * *", ST_JOHNS, "2011-03-12T12:00", "03-13T03:31 03-14T03:00"),
    ("0 0 * * *", ST_JOHNS, "2011-03-12T12:00", "03-13T03:30 03-14T02:30"),
    # odd offsets
    ("0 3 * * *", CHATHAM, "2025-09-27T00:00", "09-27T14:00 09-28T13:15"),
    ("0 3 * * *", CHATHAM, "2025-04-05T00:00", "04-05T13:15 04-06T14:15"),
    ("0 2 * * *", KATHMANDU, "2025-01-01T00:00", "01-01T20:15 01-02T20:15"),
    # the grammar
    ("0 0 13 * 5", "UTC", "2025-07-05T00:00", "07-11T00:00 07-13T00:00 07-18T00:00"),
    ("0 0 */2 * mon", "UTC", "2025-06-01T00:00", "06-09T00:00 06-23T00:00 07-07T00:00"),
    ("0 0 1-31 * mon", "UTC", "2025-06-01T00:00", "06-02T00:00 06-03T00:00"),
    ("0 0 31 2 mon", "UTC", "2025-01-01T00:00", "02-03T00:00 02-10T00:00"),
    ("0 12 * * 7", "UTC", "2025-06-01T13:00", "06-08T12:00 06-15T12:00"),
    ("0 12 * * 0", "UTC", "2025-06-01T13:00", "06-08T12:00 06-15T12:00"),
    ("0 0 * * 5-7", "UTC", "2025-06-01T00:00", "06-06T00:00 06-07T00:00 06-08T00:00 06-13T00:00"),
    ("0 0 * * fri-mon", "UTC", "2025-06-03T00:00", "06-06T00:00 06-07T00:00 06-08T00:00 06-09T00:00 06-13T00:00"),
    ("0 0 * * MON,Wed", "UTC", "2025-06-03T00:00", "06-04T00:00 06-09T00:00"),
    ("0 0 1 jan,Jul *", "UTC", "2025-01-01T00:00", "07-01T00:00"),
    (
        "0 22-2 * * *",
        "UTC",
        "2025-06-01T21:00",
        "06-01T22:00 06-01T23:00 06-02T00:00 06-02T01:00 06-02T02:00",
    ),
    ("5/20 9 * * *", "UTC", "2025-06-01T00:00", "06-01T09:05 06-01T09:25 06-01T09:45 06-02T09:05"),
    ("5-5 * * * *", "UTC", "2025-06-01T00:00", "06-01T00:05 06-01T01:05"),
    ("1,3-4,*/30 0 * * *", "UTC", "2025-06-01T00:00", "06-01T00:01 06-01T00:03 06-01T00:04 06-01T00:30 06-02T00:00"),
    ("10-30/10 0 * * *", "UTC", "2025-06-01T00:00", "06-01T00:10 06-01T00:20 06-01T00:30 06-02T00:10"),
    ("0 0 31 * *", "UTC", "2025-01-31T00:00", "03-31T00:00 05-31T00:00"),
    ("@hourly", "UTC", "2025-06-01T00:00", "06-01T01:00"),
    ("@daily", "UTC", "2025-06-01T00:00", "06-02T00:00"),
    ("@midnight", "UTC", "2025-06-01T00:00", "06-02T00:00"),
    ("@weekly", "UTC", "2025-06-01T00:00", "06-08T00:00"),
    ("@monthly", "UTC", "2025-06-01T00:00", "07-01T00:00"),
    ("@Yearly", "UTC", "2024-06-01T00:00", "2025-01-01T00:00"),
    ("@annually", "UTC", "2024-06-01T00:00", "2025-01-01T00:00"),
    ("0 2 29 2 *", "UTC", "2025-01-01T00:00", "2028-02-29T02:00 2032-02-29T02:00"),
    ("  0\t2 * * *  ", "UTC", "2025-01-01T00:00", "01-01T02:00"),
]


def instant(text: str, *, year: str = "") -> datetime:
    return datetime.fromisoformat(text if len(text) > len("03-30T01:00") else f"{year}-{text}").replace(tzinfo=UTC)


@pytest.mark.parametrize(("cron", "name", "after", "expected"), CASES)
def test_fire_times_follow_the_rule(cron: str, name: str, after: str, expected: str) -> None:
    wanted = [instant(text, year=after[:4]) for text in expected.split()]
    assert list(islice(fires(cron, name, after=instant(after)), len(wanted))) == wanted


@pytest.mark.parametrize(
    ("name", "day", "count"),
    [
        (BERLIN, "2025-10-26", 1500),
        (BERLIN, "2025-03-30", 1380),
        (LORD_HOWE, "2025-04-06", 1470),
        (LORD_HOWE, "2025-10-05", 1410),
    ],
)
def test_every_minute_means_every_real_minute_of_a_day(name: str, day: str, count: int) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=zone(name))
    end = (midnight + timedelta(days=1)).astimezone(UTC)
    found = takewhile(lambda fire: fire < end, fires("* * * * *", name, after=midnight - timedelta(seconds=1)))
    assert len(list(found)) == count


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2025-03-30T00:59:59", "2025-03-30T01:00"),
        ("2025-03-30T00:59:59.999999", "2025-03-30T01:00"),
        ("2025-03-30T01:00", "2025-03-31T00:30"),
        ("2025-03-30T01:29:59", "2025-03-31T00:30"),
        ("2025-03-30T01:30", "2025-03-31T00:30"),
    ],
)
def test_the_answer_does_not_depend_on_where_one_starts(after: str, expected: str) -> None:
    assert next_fire("30 2 * * *", BERLIN, instant(after)) == instant(expected)


def test_the_answer_does_not_depend_on_the_zone_of_the_question() -> None:
    after = instant("2025-03-29T12:00")
    assert next_fire("30 2 * * *", BERLIN, after.astimezone(ZoneInfo("Asia/Tokyo"))) == instant("2025-03-30T01:00")


def test_the_answer_is_in_utc() -> None:
    assert next_fire("0 2 * * *", BERLIN, instant("2025-01-01T00:00")).tzinfo is UTC


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        next_fire("0 2 * * *", "UTC", datetime(2025, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("* * * * * * *", "five fields"),
        ("mon#1", "five fields"),
        ("mon2026", "five fields"),
        ("@reboot", "five fields"),
        ("@every 5m", "five fields"),
        ("60 * * * *", "minute: 60 is not within 0-59"),
        ("* 24 * * *", "hour: 24"),
        ("* * 0 * *", "day of month: 0"),
        ("* * 32 * *", "day of month: 32"),
        ("* * * 0 *", "month: 0"),
        ("* * * 13 *", "month: 13"),
        ("* * * * 8", "day of week: 8"),
        ("* * * * mon#1", "day of week: 'mon#1'"),
        ("* * * * mon2026", "day of week: 'mon2026'"),
        ("* * * * monday", "day of week: 'monday'"),
        ("* * * * mon-", "day of week: 'mon-'"),
        ("* * * mon *", "month: 'mon'"),
        ("* * jan * *", "day of month: 'jan'"),
        ("* * L * *", "day of month: 'l'"),
        ("* * 15w * *", "day of month: '15w'"),
        ("* * ? * *", r"day of month: '\?'"),
        ("* * * * l5", "day of week: 'l5'"),
        ("R * * * *", "minute: 'r'"),
        ("H * * * *", "minute: 'h'"),
        ("R(0-9) * * * *", "minute"),
        ("*/0 * * * *", "at least 1"),
        ("*/ * * * *", "minute"),
        ("1,,2 * * * *", "minute: ''"),
        ("1-2-3 * * * *", "minute"),
        ("*-5 * * * *", "minute"),
        ("*5 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("+1 * * * *", "minute"),
        ("1.5 * * * *", "minute"),
        ("1_0 * * * *", "minute"),
        ("\uff11 * * * *", "minute"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 30 2 */2", "never fires"),
    ],
)
def test_what_is_not_cron_text_is_rejected_with_a_reason(cron: str, reason: str) -> None:
    with pytest.raises(CronError, match=reason):
        next_fire(cron, "UTC", instant("2025-01-01T00:00"))


@pytest.mark.parametrize(
    "name", ["Mars/X", "", "europe/berlin", "Europe/Berlin ", "../UTC", "CEST", "+02:00", "Europe"]
)
def test_an_unknown_time_zone_is_rejected(name: str) -> None:
    with pytest.raises(UnknownTimeZoneError, match="unknown time zone"):
        next_fire("0 2 * * *", name, instant("2025-01-01T00:00"))


def test_both_rejections_are_one_kind_of_error() -> None:
    assert issubclass(CronError, ScheduleError)
    assert issubclass(UnknownTimeZoneError, ScheduleError)


def test_every_zone_of_the_package_can_be_read() -> None:
    assert len(time_zones()) > 400
    assert all(zone(name).key == name for name in time_zones())

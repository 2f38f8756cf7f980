"""What people read about cron text: plain language, and marks where daylight saving interferes."""

from datetime import UTC, datetime

import pytest

from scheduler.preview import preview, utc_text
from scheduler.reading import describe


@pytest.mark.parametrize(
    ("cron", "reading"),
    [
        ("0 2 * * *", "at 02:00, every day"),
        ("* * * * *", "every minute, every day"),
        ("*/15 * * * *", "every 15 minutes, every day"),
        ("*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour, every day"),
        ("0 * * * *", "at minute 0 of every hour, every day"),
        ("30 */2 * * *", "at minute 30 of every 2nd hour from midnight, every day"),
        ("30 1,13 * * *", "at 01:30 and 13:30, every day"),
        ("*/5 9-17 * * mon-fri", "every 5 minutes of the hours 09 to 17, on Monday to Friday"),
        ("0 0 * * sat,sun", "at 00:00, on Saturday and Sunday"),
        ("0 0 13 * 5", "at 00:00, on day 13 of the month or on Friday"),
        ("0 0 */10 * mon", "at 00:00, on day 1, 11, 21 and 31 of the month if it is also on Monday"),
        ("0 12 1 jan,jul *", "at 12:00, on day 1 of the month in January and July"),
        ("@weekly", "at 00:00, on Sunday"),
        ("@yearly", "at 00:00, on day 1 of the month in January"),
    ],
)
def test_cron_text_in_plain_language(cron: str, reading: str) -> None:
    assert describe(cron, "Europe/Berlin") == f"{reading}, Europe/Berlin"


@pytest.mark.parametrize(
    ("cron", "zone", "after", "marks"),
    [
        ("30 2 * * *", "Europe/Berlin", "2025-03-29T12:00", ["gap", "", ""]),
        ("0 2 * * *", "Europe/Berlin", "2025-03-29T12:00", ["gap", "", ""]),
        ("0 3 * * *", "Europe/Berlin", "2025-03-29T12:00", ["", "", ""]),
        ("30 * * * *", "Europe/Berlin", "2025-03-30T00:00", ["", "gap", ""]),
        ("30 2 * * *", "Europe/Berlin", "2025-10-25T12:00", ["repeat", "", ""]),
        ("30 * * * *", "Europe/Berlin", "2025-10-25T23:40", ["repeat", "repeat", ""]),
        ("0 0 * * *", "Africa/Cairo", "2026-04-22T12:00", ["", "gap", ""]),
        ("15 2 * * *", "Australia/Lord_Howe", "2025-10-04T00:00", ["gap", "", ""]),
        ("45 1 * * *", "Australia/Lord_Howe", "2025-04-05T00:00", ["repeat", "", ""]),
        ("30 0 * * *", "America/St_Johns", "2011-03-12T12:00", ["gap", "", ""]),
        ("0 2 * * *", "UTC", "2025-03-29T12:00", ["", "", ""]),
    ],
)
def test_daylight_saving_is_marked(cron: str, zone: str, after: str, marks: list[str]) -> None:
    start = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert [fire.mark for fire in preview(cron, zone, after=start, count=3)] == marks


def test_a_mark_says_what_happens() -> None:
    start = datetime(2025, 10, 25, 12, tzinfo=UTC)
    fire = next(preview("30 2 * * *", "Europe/Berlin", after=start))
    assert utc_text(fire.at) == "2025-10-26T00:30Z"
    assert fire.note == "the clock shows 02:30 twice that day; it fires the first time only"

"""Times, durations and errors are written for people, the same way everywhere."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from project.values.text import error_text, from_now, roughly, took, utc


def test_a_time_is_written_in_utc_whatever_its_zone() -> None:
    assert utc(datetime.fromisoformat("2025-03-29T02:00:00.9+01:00")) == "2025-03-29 01:00:00 UTC"
    assert utc(None) == "-"


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0 ms"),
        (timedelta(milliseconds=250), "250 ms"),
        (timedelta(seconds=1.54), "1.5 s"),
        (timedelta(minutes=2, seconds=5), "2 min 5 s"),
        (timedelta(hours=3, minutes=10, seconds=59), "3 h 10 min"),
        (timedelta(days=2, hours=4, minutes=59), "2 d 4 h"),
        (None, "-"),
    ],
)
def test_what_something_took_is_written_with_the_units_that_matter(duration: timedelta | None, text: str) -> None:
    assert took(duration) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(milliseconds=900), "0 s"),
        (timedelta(seconds=119), "119 s"),
        (timedelta(minutes=2), "2 min"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=400), "400 d"),
        (None, "-"),
    ],
)
def test_a_rough_duration_has_one_unit(duration: timedelta | None, text: str) -> None:
    assert roughly(duration) == text


def test_the_distance_from_now_tells_the_past_from_the_future() -> None:
    assert from_now(timezone.now() - timedelta(hours=3)) == "3 h ago"
    assert from_now(timezone.now() + timedelta(minutes=5, seconds=30)) == "in 5 min"
    assert from_now(None) == "-"


@pytest.mark.parametrize(
    ("error_type", "error", "text"),
    [("ValueError", "broken", "ValueError: broken"), ("ValueError", "", "ValueError"), ("", "lost", "lost")],
)
def test_an_error_is_its_type_and_what_it_says(error_type: str, error: str, text: str) -> None:
    assert error_text(error_type, error) == text

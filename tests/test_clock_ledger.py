"""The ledger: kept, pruned, and asked how late the clock is."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from scheduler.clock import Clock
from scheduler.ledger import lateness_report, prune
from scheduler.models import Schedule, Tick

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "no_schedules")]


def due(by: timedelta, **values: Any) -> Schedule:
    return Schedule.objects.create(
        **{"name": "one", "task": "ping", "cron": "0 0 1 1 *", "next_fire_at": Now() - by} | values
    )


def a_tick(*, age: timedelta) -> None:
    Tick.objects.create(
        name="one", fire_time=Now() - age, created_at=Now() - age, outcome="on_time", lateness=timedelta(0), sender="x"
    )


def test_ticks_are_kept_for_ninety_days_and_then_pruned_in_batches() -> None:
    for days in (1, 89, 91, 92, 93):
        a_tick(age=timedelta(days=days))
    assert prune(batch=2) == 3
    assert Tick.objects.count() == 2


def test_a_clock_that_is_well_raises_no_alarm() -> None:
    due(timedelta(0))
    Clock(sender="test:1").sweep()
    report = lateness_report()
    assert report.alarms == []
    assert report.outcomes == {"on_time": 1, "late": 0, "caught_up": 0, "skipped": 0}
    assert 0 <= report.worst < 1


def test_a_schedule_that_nobody_sends_is_overdue() -> None:
    due(timedelta(minutes=2))
    due(timedelta(seconds=3), name="two")
    due(timedelta(minutes=2), name="three", enabled=False)
    report = lateness_report()
    assert list(report.overdue) == ["one"]
    assert 119 < report.overdue["one"] < 125
    assert report.alarms[0].startswith("schedule one is overdue by 12")


def test_a_schedule_that_cannot_be_sent_is_reported_with_the_reason() -> None:
    due(timedelta(0), task="gone")
    Clock(sender="test:1").sweep()
    assert "No task is named 'gone'" in lateness_report().failing["one"]


def test_ticks_that_were_caught_up_or_skipped_are_an_alarm_for_an_hour() -> None:
    due(timedelta(hours=2))
    due(timedelta(hours=2), name="two", misfire=Schedule.Misfire.SKIP)
    Clock(sender="test:1").sweep()
    report = lateness_report()
    assert report.alarms == ["1 ticks were caught up in the last hour", "1 ticks were skipped in the last hour"]
    assert report.worst > 7000
    Tick.objects.update(created_at=Now() - timedelta(hours=2))
    assert lateness_report().alarms == []


def test_a_late_tick_is_logged_as_an_alarm(caplog: pytest.LogCaptureFixture) -> None:
    due(timedelta(minutes=5))
    Clock(sender="test:1").sweep()
    assert "tick_late" in caplog.text

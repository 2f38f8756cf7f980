"""Missed ticks: one run for the latest of them, or none, and the ledger says so."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from scheduler.clock import Clock
from scheduler.models import Schedule, Tick
from tests.schedules import database_now, schedule, sent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "no_schedules")]


def test_ticks_missed_by_more_than_a_minute_become_one(clock: Clock) -> None:
    row = schedule(cron="0 * * * *", due=timedelta(hours=3, minutes=30))
    clock.sweep()
    clock.sweep()
    tick = Tick.objects.get()
    assert row.next_fire_at is not None
    hours = int((tick.fire_time - row.next_fire_at).total_seconds() // 3600) + 1
    assert tick.fire_time.minute == 0
    assert tick.coalesced == hours
    assert tick.outcome == Tick.Outcome.CAUGHT_UP
    assert len(sent()) == 1


def test_three_missed_nights_are_one_run_for_the_latest_of_them(clock: Clock) -> None:
    now = database_now()
    nightly = f"{now.minute} {now.hour} * * *"
    first = now.replace(second=0, microsecond=0) - timedelta(days=3)
    row = schedule(cron=nightly, due=None)
    Schedule.objects.filter(id=row.id).update(next_fire_at=first)
    clock.sweep()
    tick = Tick.objects.get()
    assert (tick.fire_time, tick.coalesced) == (first + timedelta(days=3), 3)
    assert Schedule.objects.get().next_fire_at == first + timedelta(days=4)


def test_nothing_is_coalesced_within_a_minute(clock: Clock) -> None:
    schedule(due=timedelta(seconds=59))
    clock.sweep()
    assert set(Tick.objects.values_list("coalesced", "outcome")) <= {(0, "late"), (0, "on_time")}
    assert Tick.objects.count() in (1, 2)


def test_a_schedule_that_skips_misfires_records_them_without_a_run(clock: Clock) -> None:
    schedule(cron="0 0 1 1 *", due=timedelta(minutes=5), misfire=Schedule.Misfire.SKIP)
    clock.sweep()
    tick = Tick.objects.get()
    assert (tick.outcome, tick.run_id) == (Tick.Outcome.SKIPPED, None)
    assert sent() == []


def test_a_tick_later_than_the_maximum_is_skipped_and_the_cursor_moves_on(clock: Clock) -> None:
    schedule(cron="0 0 1 1 *", due=timedelta(seconds=30), max_lateness=timedelta(seconds=20))
    clock.sweep()
    assert Tick.objects.get().outcome == Tick.Outcome.SKIPPED
    assert sent() == []
    assert Schedule.objects.get(next_fire_at__gt=Now()).last_fire_at is not None


def test_the_latest_of_the_missed_ticks_is_sent_if_it_is_young_enough(clock: Clock) -> None:
    schedule(due=timedelta(hours=1), max_lateness=timedelta(seconds=61))
    clock.sweep()
    assert len(sent()) == 1


def test_a_year_of_missed_minutes_is_caught_up_at_once(clock: Clock) -> None:
    schedule(due=timedelta(days=365))
    clock.sweep()
    tick = Tick.objects.get()
    assert tick.lateness < timedelta(minutes=1)
    assert tick.coalesced == 50_000


def test_a_rewound_cursor_sends_nothing_again(clock: Clock) -> None:
    row = schedule(cron="0 0 1 1 *")
    clock.sweep()
    Schedule.objects.filter(id=row.id).update(next_fire_at=F("last_fire_at"))
    clock.sweep()
    assert len(sent()) == 1
    assert Schedule.objects.get(next_fire_at__gt=Now()).error == ""

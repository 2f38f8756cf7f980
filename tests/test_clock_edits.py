"""Edits while the clock runs, by whatever means: they take effect, and nothing is sent again or backfilled."""

from datetime import timedelta

import pytest
from django.db import connection

from scheduler.clock import Clock
from scheduler.models import Schedule
from tests.schedules import database_now, schedule, sent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "no_schedules")]


@pytest.mark.parametrize("change", [{"cron": "0 3 * * *"}, {"time_zone": "Asia/Tokyo"}])
def test_an_edit_takes_effect_from_now_on(clock: Clock, change: dict[str, str]) -> None:
    row = schedule(cron="0 2 * * *", due=timedelta(hours=1))
    Schedule.objects.filter(id=row.id).update(**change)
    clock.sweep()
    assert sent() == []
    assert Schedule.objects.get().next_fire_at > database_now()  # type: ignore[operator]


def test_an_edit_by_sql_takes_effect(clock: Clock) -> None:
    schedule(cron="0 2 * * *", due=timedelta(hours=1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE scheduler_schedule SET cron = '30 4 * * *'")
    clock.sweep()
    after = Schedule.objects.get().next_fire_at
    assert after is not None
    assert (after.hour, after.minute) == (4, 30)
    assert sent() == []


def test_enabling_again_backfills_nothing(clock: Clock) -> None:
    row = schedule(cron="0 2 * * *", due=timedelta(hours=1))
    Schedule.objects.filter(id=row.id).update(enabled=False)
    Schedule.objects.filter(id=row.id).update(enabled=True)
    clock.sweep()
    assert sent() == []


def test_enabling_again_with_save_backfills_nothing(clock: Clock) -> None:
    row = schedule(cron="0 2 * * *", due=timedelta(hours=1))
    row.enabled = False
    row.save()
    row.enabled = True
    row.save()
    clock.sweep()
    assert sent() == []


def test_a_stale_save_of_the_whole_row_rewinds_nothing(clock: Clock) -> None:
    stale = schedule(cron="0 2 * * *")
    clock.sweep()
    moved = Schedule.objects.get().next_fire_at
    stale.save()
    assert Schedule.objects.get().next_fire_at == moved
    clock.sweep()
    assert len(sent()) == 1


def test_an_edit_never_fires_before_the_last_fire(clock: Clock) -> None:
    later = database_now() + timedelta(days=2)
    row = schedule(cron="0 2 * * *", due=None)
    Schedule.objects.filter(id=row.id).update(last_fire_at=later)
    clock.sweep()
    assert Schedule.objects.get().next_fire_at > later  # type: ignore[operator]


def test_other_edits_do_not_move_the_cursor(clock: Clock) -> None:
    row = schedule(cron="0 2 * * *", due=timedelta(seconds=-3600))
    Schedule.objects.filter(id=row.id).update(arguments={}, name="renamed")
    clock.sweep()
    assert Schedule.objects.get().next_fire_at == row.next_fire_at

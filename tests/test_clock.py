"""The claim: what is due is sent once, whatever was missed, edited, broken or locked in the meantime."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction
from django.db.models import F
from django.db.models.functions import Now

from project.tasks.models import TaskRun
from scheduler.clock import Clock
from scheduler.models import Schedule, Tick

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_schedules(transactional_db: None, broker: object) -> None:
    """Start without the declared schedules."""
    Schedule.objects.all().delete()


@pytest.fixture
def clock() -> Clock:
    """The clock of one process."""
    return Clock(sender="test:1")


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def schedule(*, due: timedelta | None = timedelta(0), **values: Any) -> Schedule:
    """A row whose next fire time was this long ago."""
    row = Schedule.objects.create(**{"name": "one", "task": "ping", "cron": "* * * * *", "time_zone": "UTC"} | values)
    if due is not None:
        Schedule.objects.filter(id=row.id).update(next_fire_at=Now() - due)
    row.refresh_from_db()
    return row


def sent() -> list[UUID]:
    return list(TaskRun.objects.order_by("created_at").values_list("id", flat=True))


def test_a_due_schedule_is_sent_once(clock: Clock) -> None:
    row = schedule()
    clock.sweep()
    clock.sweep()
    assert row.next_fire_at is not None
    assert sent() == [row.run_id(row.next_fire_at)]
    assert Tick.objects.get().run_id == sent()[0]


def test_the_run_says_which_schedule_caused_it(clock: Clock) -> None:
    schedule(name="nightly")
    clock.sweep()
    run = TaskRun.objects.get()
    assert (run.source, run.schedule, run.task) == ("schedule", "nightly", "ping")


def test_the_run_gets_the_arguments_of_the_row_at_the_time_of_the_claim(clock: Clock) -> None:
    row = schedule(task="cleanup_sessions", arguments={"days_old": 30})
    Schedule.objects.filter(id=row.id).update(arguments={"days_old": 7})
    clock.sweep()
    assert TaskRun.objects.get().arguments == {"days_old": 7}


def test_the_cursor_moves_to_the_next_fire_time_after_the_tick(clock: Clock) -> None:
    row = schedule(cron="0 2 * * *")
    clock.sweep()
    fired, row = row.next_fire_at, Schedule.objects.get()
    assert row.last_fire_at == fired
    assert row.next_fire_at is not None
    assert row.next_fire_at > database_now()
    assert (row.next_fire_at.hour, row.next_fire_at.minute) == (2, 0)


def test_a_new_schedule_waits_for_its_first_fire_time(clock: Clock) -> None:
    schedule(due=None, cron="0 2 * * *")
    clock.sweep()
    assert sent() == []
    assert Schedule.objects.get().next_fire_at is not None


def test_a_schedule_inserted_with_sql_is_one(clock: Clock) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO scheduler_schedule (name, task, cron) VALUES ('by sql', 'ping', '* * * * *')")
    clock.sweep()
    row = Schedule.objects.get()
    assert (row.time_zone, row.enabled, row.arguments, row.error) == ("UTC", True, {}, "")
    assert row.next_fire_at is not None


def test_a_disabled_schedule_is_not_sent(clock: Clock) -> None:
    schedule(enabled=False)
    clock.sweep()
    assert sent() == []


# Missed ticks


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


# Edits


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


def test_a_stale_save_of_the_whole_row_sends_nothing_again(clock: Clock) -> None:
    stale = schedule(cron="0 2 * * *")
    clock.sweep()
    stale.save()
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


# One bad row


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"task": "no.such.task"}, "No task is named"),
        ({"task": "cleanup_sessions", "arguments": {"days": 1}}, "do not fit"),
        ({"cron": "61 * * * *"}, "minute: 61"),
        ({"time_zone": "Mars/X"}, "unknown time zone"),
        ({"arguments": [1]}, "TypeError"),
    ],
)
def test_a_poisoned_row_does_not_hold_up_the_others(clock: Clock, values: dict[str, Any], reason: str) -> None:
    schedule(name="bad", due=timedelta(seconds=30), **values)
    good = schedule(name="good")
    clock.sweep()
    assert list(TaskRun.objects.values_list("schedule", flat=True)) == ["good"]
    assert reason in Schedule.objects.get(name="bad").error
    assert Schedule.objects.get(id=good.id).error == ""


def test_a_repaired_row_is_sent_by_the_next_sweep_and_loses_its_error(clock: Clock) -> None:
    row = schedule(task="no.such.task")
    clock.sweep()
    Schedule.objects.filter(id=row.id).update(task="ping")
    clock.sweep()
    assert len(sent()) == 1
    assert Schedule.objects.get().error == ""


def test_a_failed_row_waits_for_the_next_sweep(clock: Clock) -> None:
    schedule(task="no.such.task")
    clock.sweep()
    assert clock.until_next() is None
    assert clock.send_due() == 0


def test_cron_text_broken_by_sql_shows_on_the_row(clock: Clock) -> None:
    row = schedule()
    Schedule.objects.filter(id=row.id).update(cron="mon#1")
    clock.sweep()
    assert "five fields" in Schedule.objects.get().error


# Several processes


@pytest.fixture
def locked(transactional_db: None) -> Iterator[Schedule]:
    """A due schedule whose row another process holds."""
    row = schedule(name="held")
    is_locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Schedule.objects.select_for_update().get(id=row.id)
            is_locked.set()
            release.wait(30)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_locked.wait(10)
    yield row
    release.set()
    holder.join()


def test_a_row_that_another_process_holds_does_not_hold_up_the_others(clock: Clock, locked: Schedule) -> None:
    schedule(name="free")
    clock.sweep()
    assert list(TaskRun.objects.values_list("schedule", flat=True)) == ["free"]


def test_a_held_row_is_looked_at_again_soon(clock: Clock, locked: Schedule) -> None:
    clock.sweep()
    assert clock.until_next() == timedelta(milliseconds=50)


def test_many_processes_send_each_tick_once() -> None:
    for number in range(30):
        schedule(name=f"schedule {number}")

    def work(number: int) -> None:
        Clock(sender=f"test:{number}").sweep()
        connections.close_all()

    processes = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert TaskRun.objects.count() == Tick.objects.count() == 30
    assert Tick.objects.values("schedule").distinct().count() == 30


def test_stopping_ends_the_sending_between_two_ticks() -> None:
    for number in range(3):
        schedule(name=f"schedule {number}")
    clock = Clock(sender="test:1", is_stopping=lambda: Tick.objects.count() == 1)
    clock.sweep()
    assert len(sent()) == 1


def test_the_clock_knows_how_long_it_may_sleep(clock: Clock) -> None:
    schedule(cron="0 0 1 1 *", due=timedelta(seconds=-30))
    left = clock.until_next()
    assert left is not None
    assert timedelta(seconds=28) < left <= timedelta(seconds=30)


def test_the_database_decides_what_is_due(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule(due=timedelta(seconds=-30))
    monkeypatch.setattr("django.utils.timezone.now", lambda: datetime(2099, 1, 1, tzinfo=UTC))
    clock.sweep()
    assert sent() == []

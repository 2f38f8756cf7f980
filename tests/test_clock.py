"""The claim: what is due is sent once, whatever is broken, locked or asked by many processes at once."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from project.tasks.models import TaskRun
from scheduler.clock import Clock
from scheduler.models import Schedule, Tick
from tests.schedules import database_now, schedule, sent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "no_schedules")]


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

"""One look of the timer at the clock: what it survives, when it wakes again, and when its process is given up."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest
from django.db import OperationalError, connection

from scheduler import process
from scheduler.models import Schedule
from scheduler.timer import STALLED_AFTER, SWEEP_EVERY, Timer, Watchdog
from tests.schedules import schedule, sent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "no_schedules")]


@pytest.fixture
def timer() -> Timer:
    """A timer whose loop does not run; it has synchronised what code declares."""
    timer = Timer(sender="test:1")
    timer._is_synced = True
    return timer


def wakes_in(timer: Timer) -> timedelta | None:
    """Return how long until the timer wakes between two sweeps, or None if it does not."""
    job = timer._timer.get_job("wake")
    return job.trigger.run_date - datetime.now(UTC) if job else None


def due_in(left: timedelta) -> Schedule:
    return schedule(cron="0 0 1 1 *", due=-left)


def test_a_schedule_that_is_due_before_the_next_sweep_is_not_kept_waiting_for_it(timer: Timer) -> None:
    due_in(SWEEP_EVERY / 2)
    timer._sweep()
    left = wakes_in(timer)
    assert left is not None
    assert timedelta(0) < left <= SWEEP_EVERY / 2
    assert sent() == []


def test_for_what_is_due_later_the_next_sweep_is_soon_enough(timer: Timer) -> None:
    due_in(SWEEP_EVERY * 2)
    timer._sweep()
    assert wakes_in(timer) is None


def test_a_timer_that_stops_does_not_wake_again(timer: Timer) -> None:
    due_in(SWEEP_EVERY / 2)
    timer.is_stopping.set()
    timer._sweep()
    assert wakes_in(timer) is None


def test_a_wake_sends_what_is_due(timer: Timer) -> None:
    due_in(timedelta(0))
    timer._wake()
    assert len(sent()) == 1


@pytest.mark.parametrize(
    ("error", "logged"), [(OperationalError("gone away"), "database_away"), (RuntimeError("a defect"), "sweep_failed")]
)
def test_a_sweep_that_fails_is_logged_and_the_next_one_makes_up_for_it(
    timer: Timer, caplog: pytest.LogCaptureFixture, error: Exception, logged: str
) -> None:
    schedule(cron="0 0 1 1 *", due=timedelta(0))

    def fail(*_: Any) -> NoReturn:
        raise error

    with connection.execute_wrapper(fail):
        timer._sweep()
    assert logged in caplog.text
    assert sent() == []
    timer._sweep()
    assert len(sent()) == 1


def test_ticks_that_cannot_be_pruned_are_pruned_another_time(timer: Timer, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> NoReturn:
        raise OperationalError("gone away")

    with connection.execute_wrapper(fail):
        timer._prune()
    assert "prune_failed" in caplog.text


def test_a_timer_without_a_finished_sweep_for_half_a_minute_ends_its_process(
    timer: Timer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    watchdog = Watchdog(timer)
    for _ in range(STALLED_AFTER):
        watchdog.beat()
    assert codes == []
    watchdog.beat()
    assert codes == [70]
    assert "clock_stalled" in caplog.text


@pytest.mark.parametrize("due", [timedelta(0), None])
def test_a_timer_that_sends_or_sweeps_is_alive(timer: Timer, due: timedelta | None) -> None:
    schedule(cron="0 0 1 1 *", due=due)
    timer.beats_since_sweep = STALLED_AFTER
    timer._wake() if due is not None else timer._sweep()
    assert timer.beats_since_sweep == 0


def test_the_first_sweep_knows_what_code_declares_though_the_database_was_away_before() -> None:
    timer = Timer(sender="test:1")

    def fail(*_: Any) -> NoReturn:
        raise OperationalError("gone away")

    with connection.execute_wrapper(fail):
        timer._sweep()
    assert not Schedule.objects.exists()
    timer._sweep()
    assert Schedule.objects.exists()


def test_a_scheduler_that_cannot_stop_in_time_ends_anyway_and_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(process, "STOP_SECONDS", 0.05)
    scheduler = process.SchedulerProcess()

    def hang() -> None:
        while not codes:
            scheduler._timer.is_stopping.wait(0.01)

    monkeypatch.setattr(scheduler._timer, "stop", hang)
    scheduler._stop_in_time()
    assert codes == [0]
    assert "stopped_hard" in caplog.text

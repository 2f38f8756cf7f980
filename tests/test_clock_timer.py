"""The timer and its watchdog: what they do when the machine's clock jumps or the database goes."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.events import JobExecutionEvent

from scheduler.timer import STALLED_AFTER, Timer, Watchdog


class Sweeps(Timer):
    """A timer that only counts what it is told."""

    def __init__(self) -> None:
        super().__init__(sender="test:1")
        self.asked = 0

    def sweep_now(self) -> None:
        self.asked += 1


@pytest.mark.parametrize("step", [-3600.0, 3600.0, 2.0])
def test_a_jump_of_the_machines_clock_makes_it_sweep_at_once(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    timer = Sweeps()
    watchdog = Watchdog(timer)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    watchdog.beat()
    watchdog.beat()
    assert timer.asked == 1


def test_an_ordinary_second_does_not() -> None:
    timer = Sweeps()
    Watchdog(timer).beat()
    assert timer.asked == 0


def test_a_process_that_was_stopped_as_a_whole_is_not_taken_for_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    timer = Sweeps()
    watchdog = Watchdog(timer)
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 3600)
    watchdog.beat()
    assert timer.beats_since_sweep == 1 < STALLED_AFTER


def test_sweeping_at_once_moves_the_sweep_of_a_timer_that_would_sleep_for_an_hour() -> None:
    timer = Timer(sender="test:1")
    sweep = timer._timer.get_job("sweep")
    sweep.modify(next_run_time=datetime.now(UTC) + timedelta(hours=1))
    timer.sweep_now()
    assert timer._timer.get_job("sweep").next_run_time <= datetime.now(UTC)


def test_what_the_timer_drops_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    from scheduler.timer import _report  # noqa: PLC0415

    _report(JobExecutionEvent(1, "sweep", "default", datetime.now(UTC)))
    assert "timer_dropped" in caplog.text

"""When to look at the clock: APScheduler wakes this process; what is due is the database's affair."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from scheduler.clock import Clock
from scheduler.ledger import prune
from scheduler.sync import sync_declared

log = structlog.get_logger(__name__)

#: New and edited schedules, and whatever a wake missed, wait this long at most.
SWEEP_EVERY: Final = timedelta(seconds=5)
#: Ticks are kept for months, so that an hour more or less does not matter.
PRUNE_EVERY: Final = timedelta(hours=1)
#: Beats of the watchdog, one a second, without a finished sweep after which the process ends, to be started again:
#: six sweeps, and several times what the session's time limits let one statement take.
STALLED_AFTER: Final = 30
#: Seconds by which the machine's clock must jump for the timer to be told: far more than it is ever adjusted smoothly.
STEP: Final = 1.0


class Timer:
    """Sweeps every few seconds, and wakes at the next fire time in between.

    Args:
        sender: What the ledger calls this process.
    """

    def __init__(self, *, sender: str) -> None:
        self.is_stopping = threading.Event()
        self.beats_since_sweep = 0
        self._clock = Clock(sender=sender, is_stopping=self._is_stopping_between_ticks)
        self._is_synced = self._is_ready = False
        # One thread, so that a wake never overlaps a sweep; no grace time, so that a late one is never dropped.
        self._timer = BlockingScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )
        self._timer.add_listener(_report, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        self._every("sweep", self._sweep, SWEEP_EVERY)
        self._every("prune", self._prune, PRUNE_EVERY)

    def run(self) -> None:
        """Keep the clock until `stop` is called; return only then.

        Raises:
            Exception: Whatever ended the timer's loop.
        """
        self._timer.start()

    def stop(self) -> None:
        """Finish the tick that is being sent and end; never call it from a sweep."""
        self.is_stopping.set()
        while not self._timer.running:
            time.sleep(0.01)  # the signal came before the loop did
        self._timer.shutdown(wait=True)

    def sweep_now(self) -> None:
        """Sweep at once, whatever the machine's clock was set to."""
        self._timer.modify_job("sweep", next_run_time=datetime.now(UTC))

    def _is_stopping_between_ticks(self) -> bool:
        self.beats_since_sweep = 0  # a sweep of many ticks takes long and yet is alive
        return self.is_stopping.is_set()

    def _every(self, name: str, do: Any, interval: timedelta) -> None:
        trigger = IntervalTrigger(seconds=int(interval.total_seconds()), timezone=UTC)
        self._timer.add_job(do, trigger, id=name, next_run_time=datetime.now(UTC))

    def _sweep(self) -> None:
        close_old_connections()
        self._look(self._sweep_all)
        self.beats_since_sweep = 0

    def _wake(self) -> None:
        self._look(self._clock.send_due)

    def _sweep_all(self) -> None:
        if not self._is_synced:
            sync_declared()
            self._is_synced = True
        self._clock.sweep()
        if not self._is_ready:
            log.info("scheduler_ready", sender=self._clock.sender)
            self._is_ready = True

    def _look(self, send: Any) -> None:
        try:
            send()
            self._sleep_until(self._clock.until_next())
        except DatabaseError as error:
            connection.close()
            log.warning("database_away", error=str(error).strip(), cure="the next sweep tries again")
        except Exception:
            # A defect must not stop the clock for the schedules that are well.
            log.exception("sweep_failed", cure="report it; the next sweep tries again")

    def _sleep_until(self, left: timedelta | None) -> None:
        if left is None or left > SWEEP_EVERY or self.is_stopping.is_set():
            return
        at = datetime.now(UTC) + left
        # The wake that is running now may still count as an instance of itself.
        self._timer.add_job(
            self._wake, DateTrigger(at, timezone=UTC), id="wake", replace_existing=True, max_instances=3
        )

    def _prune(self) -> None:
        try:
            if count := prune():
                log.info("ticks_pruned", count=count)
        except DatabaseError as error:
            connection.close()
            log.warning("prune_failed", error=str(error).strip(), cure="the next one tries again")


class Watchdog(threading.Thread):
    """Ends a process whose timer has stalled, and tells the timer when the machine's clock was set.

    It counts its own beats and not time, so a process that was stopped as a whole is not taken for stalled.

    Args:
        timer: What to watch.
        every: Seconds between two beats.
    """

    def __init__(self, timer: Timer, *, every: float = 1.0) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._timer, self._every = timer, every
        self._offset = time.time() - time.monotonic()

    def run(self) -> None:
        """Beat until the timer stops."""
        while not self._timer.is_stopping.wait(self._every):
            self.beat()

    def beat(self) -> None:
        """Look once."""
        self._notice_a_step()
        self._timer.beats_since_sweep += 1
        if self._timer.beats_since_sweep > STALLED_AFTER:
            log.critical("clock_stalled", cure="the process ends so that its supervisor starts it again")
            os._exit(70)

    def _notice_a_step(self) -> None:
        offset = time.time() - time.monotonic()
        step, self._offset = offset - self._offset, offset
        if abs(step) > STEP:
            # The timer waits for a time of day: set back by an hour, it would sleep for an hour.
            log.warning("clock_stepped", seconds=round(step, 1), cure="none needed; sweeping at once")
            self._timer.sweep_now()


def _report(event: Any) -> None:
    log.error("timer_dropped", what=event.job_id, code=event.code, cure="the next sweep makes up for it")

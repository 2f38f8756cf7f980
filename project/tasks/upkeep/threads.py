"""The threads that every worker and every scheduler runs beside its work: heartbeat, claims, duties, broker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog
from django.db import Error as DatabaseError

from project.broker.service import BROKER_ERRORS, broker
from project.tasks.models import Worker
from project.tasks.running.database import own_connection, trouble
from project.tasks.upkeep.dead_workers import HEARTBEAT_EVERY
from project.tasks.upkeep.duties import Duties
from project.tasks.upkeep.heartbeat import Heartbeat, look_after_claims
from project.tasks.upkeep.reconcile import SETTLE, reconcile_in_turn

log = structlog.get_logger(__name__)

#: How often a worker looks for what is due; a delayed run waits no longer than until it is due in any case.
DUTIES_EVERY = timedelta(seconds=1)
#: A heartbeat that failed is tried again sooner than the next one is due: four failures in a row look like death.
HEARTBEAT_AGAIN_AFTER = timedelta(milliseconds=500)
#: How often what is in the broker is looked after; asked less often than every 3 s, it presumes nobody dead. Every
#: second, it was the dearest part of an idle process: 0.2 % of a core of 0.7.
BROKER_EVERY = timedelta(seconds=2)
#: How long the end of a process waits for a call that one of the threads is in the middle of.
_STOP_TIMEOUT = timedelta(seconds=10)


class Repeater(threading.Thread):
    """Calls a function again and again; a database or broker that is away only makes it wait.

    Args:
        name: What the logs call it.
        every: The longest pause between two calls.
        do: The function; it may return a shorter pause.
        again_after: The pause after a call that failed, if a shorter one.
    """

    def __init__(
        self,
        *,
        name: str,
        every: timedelta,
        do: Callable[[], timedelta | None],
        again_after: timedelta = timedelta.max,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.every, self.do, self.again_after = every, do, min(again_after, every)
        self._stop_asked = threading.Event()
        self._is_failing = False

    def run(self) -> None:
        """Repeat until `stop` is called."""
        pause = self.every
        with own_connection() as self._connection:
            while not self._stop_asked.wait(pause.total_seconds()):
                pause = min(self._call() or self.every, self.every)

    def stop(self) -> None:
        """Let the current call end, then stop."""
        self._stop_asked.set()
        self.join(timeout=_STOP_TIMEOUT.total_seconds())

    def _call(self) -> timedelta | None:
        try:
            pause = self.do()
        except (DatabaseError, *BROKER_ERRORS) as error:
            self._connection.discard()
            trouble.note()
            if not self._is_failing:
                log.warning("upkeep_failed", thread=self.name, error=str(error).strip(), cure="trying again")
            self._is_failing = True
        except Exception:
            # A thread that ended because of a defect would leave its work undone for as long as the process lives.
            log.exception("upkeep_broken", thread=self.name, cure="report it; trying again")
        else:
            self._is_failing = False
            return pause
        return self.again_after


class UpkeepThreads:
    """Everything that a process does beside its work.

    Args:
        kind: What the process does.
        queues: The queues it consumes.
        threads: How many runs it executes at once.
        duties_every: How often it looks for what is due; a process may take its time where others look, too.
    """

    def __init__(
        self,
        *,
        kind: Worker.Kind,
        queues: Sequence[str] = (),
        threads: int = 0,
        duties_every: timedelta = DUTIES_EVERY,
    ) -> None:
        self._heartbeat = Heartbeat(kind=kind, queues=queues, threads=threads)
        self._duties = Duties()
        self._threads = [
            Repeater(
                name="heartbeat", every=HEARTBEAT_EVERY, do=self._heartbeat.beat, again_after=HEARTBEAT_AGAIN_AFTER
            ),
            Repeater(name="claims", every=HEARTBEAT_EVERY, do=look_after_claims),
            Repeater(name="duties", every=duties_every, do=self._do_what_is_due),
            Repeater(name="broker", every=BROKER_EVERY, do=self._look_after_broker),
        ]

    def start(self) -> None:
        """Sign the process on and start the threads."""
        self._heartbeat.begin()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads and sign off."""
        for thread in self._threads:
            thread.stop()
        try:
            self._heartbeat.end()
        except DatabaseError as error:
            log.warning("not_signed_off", error=str(error).strip(), cure="none: others presume it dead in 10 s")

    def _do_what_is_due(self) -> timedelta | None:
        return self._duties.do_what_is_due()

    def _look_after_broker(self) -> timedelta | None:
        broker().rescue()
        # After a crash of the database others may still write again what it took back: claims of runs whose message is
        # gone because they were executed.
        return reconcile_in_turn() if trouble.is_over_for(SETTLE) else None

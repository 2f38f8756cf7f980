"""The scheduler process: the timer, the upkeep beside it, and an end within two seconds."""

import os
import signal
import socket
import sys
import threading
from datetime import timedelta
from typing import Any, Final

import structlog
from django.db import Error as DatabaseError

from project.database.base import DatabaseWrapper
from project.database.sessions import Session
from project.tasks.models import Worker
from project.tasks.upkeep.threads import UpkeepThreads
from scheduler.timer import Timer, Watchdog

log = structlog.get_logger(__name__)

#: Workers look for what is due twice as often; the scheduler does so for when there are none.
DUTIES_EVERY: Final = timedelta(seconds=2)
#: Seconds, within the 2 s in which the process promises to end.
#: A transaction that hangs is rolled back by the end of the process: its tick stays due and is sent by another.
STOP_SECONDS: Final = 1.5
#: What a session may take before PostgreSQL frees what it holds, for a process that hangs or is stopped.
LIMITS: Final = Session(
    (("lock_timeout", "3s"), ("statement_timeout", "5s"), ("idle_in_transaction_session_timeout", "5s")),
)


class SchedulerProcess:
    """Everything `manage.py runscheduler` runs."""

    def __init__(self) -> None:
        self.sender = f"{socket.gethostname()}:{os.getpid()}"
        self._timer = Timer(sender=self.sender)
        self._upkeep = UpkeepThreads(kind=Worker.Kind.SCHEDULER, duties_every=DUTIES_EVERY)
        self._is_signed_on = False

    def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises:
            Exception: Whatever ended the timer's loop, so that the process exits non-zero.
        """
        DatabaseWrapper.session = LIMITS | Session((("application_name", f"runscheduler {self.sender}"),))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        threading.Thread(target=self._sign_on, name="sign-on", daemon=True).start()
        Watchdog(self._timer).start()
        self._timer.run()
        if not self._timer.is_stopping.is_set():
            log.critical("clock_ended", cure="the process ends so that its supervisor starts it again")
            sys.exit(70)
        if self._is_signed_on:
            self._upkeep.stop()
        log.info("scheduler_stopped", sender=self.sender)

    def _stop(self, *_: Any) -> None:
        # Not in the signal's frame, which may have interrupted the very lock that stopping needs.
        threading.Thread(target=self._stop_in_time, name="stop", daemon=True).start()

    def _stop_in_time(self) -> None:
        deadline = threading.Timer(STOP_SECONDS, _give_up)
        deadline.daemon = True
        deadline.start()
        self._timer.stop()

    def _sign_on(self) -> None:
        while not self._timer.is_stopping.is_set():
            try:
                self._upkeep.start()
            except DatabaseError as error:
                log.warning("database_away", error=str(error).strip(), cure="trying again")
                self._timer.is_stopping.wait(1)
            else:
                self._is_signed_on = True
                return


def _give_up() -> None:
    log.warning("stopped_hard", cure="none needed; what was not committed is sent by the next scheduler")
    os._exit(0)

"""Middleware that does not let a worker process run on when one of its threads has died."""

import os
import signal
import sys
import threading
from datetime import timedelta

import structlog
from dramatiq import Broker, Middleware, Worker

from project.broker.dramatiq_internals import threads_of

log = structlog.get_logger(__name__)

#: A thread that died is rare; looking costs nothing that anybody would notice.
LOOK_EVERY = timedelta(seconds=1)


class Watchdog(Middleware):
    """Ends a process one of whose consumer or worker threads has died, so that its supervisor starts a whole one."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._died = False

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Start to watch, where SIGHUP stops the worker cleanly; elsewhere it would end somebody's shell."""
        if not callable(signal.getsignal(signal.SIGHUP)):
            return
        self._stopping.clear()
        threading.Thread(target=self._watch, args=[worker], name="watchdog", daemon=True).start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Stop watching: threads end now because they are told to."""
        self._stopping.set()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """End the process as a failure if a dead thread is why the worker stopped.

        Raises:
            SystemExit: If so.
        """
        if self._died:
            sys.exit(1)

    def _watch(self, worker: Worker) -> None:
        while not self._stopping.wait(LOOK_EVERY.total_seconds()):
            if dead := [thread.name for thread in threads_of(worker) if not thread.is_alive()]:
                log.critical("worker_threads_died", threads=dead, cure="this process ends, and is replaced")
                self._died = True
                os.kill(os.getpid(), signal.SIGHUP)
                return

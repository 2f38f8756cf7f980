"""Middleware for worker processes: share their threads fairly, stop cleanly, and do not run on half dead."""

import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from dramatiq import Broker, Middleware, Worker
from dramatiq.errors import BrokerConnectionError

from project.broker.acks import Acks
from project.broker.scripts import Scripts
from project.broker.work_queue import WorkQueue

logger = logging.getLogger(__name__)

FLUSH_TIMEOUT = 5.0
CHECK_EVERY = 1.0


class Drain(Middleware):
    """Gives the worker its work queue and empties it at the end; every ``ServiceBroker`` has one, first in its list.

    Args:
        scripts: Of the broker.
        acks: The broker's.
    """

    def __init__(self, *, scripts: Scripts, acks: Acks) -> None:
        self.work = WorkQueue(threads=1)
        self._scripts, self._acks = scripts, acks

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Replace the worker's plain work queue before any thread knows it, and listen for the end."""
        self.work = WorkQueue(threads=worker.worker_threads)
        worker.work_queue = self.work
        if threading.current_thread() is threading.main_thread():
            _close_at(signal.SIGTERM, self.work)
            _close_at(signal.SIGHUP, self.work)

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Take no more messages and hand back those that were not started, while tasks finish."""
        self.work.closed = True
        for queue_name, thread in worker.consumers.items():
            unstarted = self.work.take_back(queue_name)
            try:
                thread.requeue_messages(unstarted)
            except BrokerConnectionError as error:
                logger.warning("%d messages of %s wait for their rescue: %s", len(unstarted), queue_name, error)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Send the last outcomes and strike this process off."""
        if not self._acks.flush(timeout=FLUSH_TIMEOUT):
            logger.warning("Redis did not take the last outcomes: those messages run again")
            return
        try:
            self._scripts.run("leave", self._scripts.broker_id, *worker.consumers)
        except BrokerConnectionError as error:
            logger.warning("Redis was not told that this worker stopped: %s", error)


def _close_at(signum: signal.Signals, work: WorkQueue) -> None:
    """Stop fetching the moment the signal comes; Dramatiq itself looks only once a second."""
    previous = signal.getsignal(signum)

    def close(received: int, frame: FrameType | None) -> None:
        work.closed = True
        if callable(previous):
            previous(received, frame)

    if callable(previous):
        signal.signal(signum, close)


class Watchdog(Middleware):
    """Ends a process one of whose consumer or worker threads has died, so that its supervisor starts a whole one."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._died = False

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Start to look after the threads, where SIGHUP is a clean stop and not the end of somebody's shell."""
        if not callable(signal.getsignal(signal.SIGHUP)):
            return
        self._stopping.clear()
        threading.Thread(target=self._watch, args=[worker], name="watchdog", daemon=True).start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Threads may end from now on."""
        self._stopping.set()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Leave with a failure if that is why the worker stopped."""
        if self._died:
            sys.exit(1)

    def _watch(self, worker: Worker) -> None:
        while not self._stopping.wait(CHECK_EVERY):
            threads: list[Any] = [*worker.workers, *worker.consumers.values()]
            if dead := [thread.name for thread in threads if not thread.is_alive()]:
                logger.critical("Threads of this worker died, so it stops: %s", ", ".join(dead))
                self._died = True
                os.kill(os.getpid(), signal.SIGHUP)
                return

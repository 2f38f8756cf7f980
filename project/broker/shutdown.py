"""Middleware that gives a worker process its work queue and, at the end, stops without losing anything."""

import signal
import threading
from datetime import timedelta
from types import FrameType

import structlog
from dramatiq import Broker, Middleware, Worker
from dramatiq.errors import BrokerConnectionError

from project.broker.acks import Acks
from project.broker.consumer import QueueConsumer
from project.broker.dramatiq_internals import consumed_queues, consumers_of, give_back, use_work_queue
from project.broker.scripts import Scripts
from project.broker.work_queue import WorkQueue

log = structlog.get_logger(__name__)

#: Longer than one time-out of Redis, and short beside the ten minutes that Dramatiq gives tasks to end.
LAST_ACKS_WITHIN = timedelta(seconds=5)


class Drain(Middleware):
    """Gives the worker its work queue and empties it at the end; every `ServiceBroker` has one, first in its list.

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
        use_work_queue(worker, self.work)
        if threading.current_thread() is threading.main_thread():
            _close_at(signal.SIGTERM, self.work)
            _close_at(signal.SIGHUP, self.work)

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Take no more messages and hand back those that were not started, while tasks finish."""
        self.work.closed = True
        for consumer in consumers_of(worker):
            if isinstance(consumer, QueueConsumer):
                consumer.wake()
        for queue_name in consumed_queues(worker):
            unstarted = self.work.take_back(queue_name)
            try:
                give_back(worker, queue_name, unstarted)
            except BrokerConnectionError as error:
                cure = "other processes give them back once this one is dead"
                log.warning(
                    "messages_not_given_back", queue=queue_name, count=len(unstarted), error=str(error), cure=cure
                )

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Send the last acks and tell Redis that this process is no more."""
        if not self._acks.flush(timeout=LAST_ACKS_WITHIN.total_seconds()):
            log.warning("last_acks_not_sent", cure="those messages run again elsewhere")
            return
        try:
            self._scripts.run("leave", self._scripts.broker_id, *consumed_queues(worker))
        except BrokerConnectionError as error:
            log.warning("broker_not_signed_off", error=str(error), cure="others take it for dead soon")


def _close_at(signum: signal.Signals, work: WorkQueue) -> None:
    """Stop fetching the moment the signal comes; Dramatiq itself looks only once a second."""
    previous = signal.getsignal(signum)

    def close(received: int, frame: FrameType | None) -> None:
        work.closed = True
        if callable(previous):
            previous(received, frame)

    if callable(previous):
        signal.signal(signum, close)

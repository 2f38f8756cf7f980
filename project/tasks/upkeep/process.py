"""A worker process signs on before it takes a message, and signs off when it has stopped."""

from __future__ import annotations

import sys

import structlog
from dramatiq.broker import Broker
from dramatiq.middleware import Middleware
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.tasks.loop.event_loop import event_loop_of
from project.tasks.models import Worker
from project.tasks.running.database import insist, reserve_connections, stopping
from project.tasks.running.group_commit import group_commit
from project.tasks.upkeep.roles import Role, assign_queues
from project.tasks.upkeep.threads import UpkeepThreads
from project.values.text import exception_text

log = structlog.get_logger(__name__)


class WorkerProcess(Middleware):
    """Signs a worker process on and off, and runs the threads beside its work.

    Attributes:
        role: Which part of the work the process does; whoever starts it may choose before its worker boots.
    """

    def __init__(self) -> None:
        self.role = Role.EVERYTHING
        self._upkeep: UpkeepThreads | None = None

    def before_worker_boot(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:  # type: ignore[override]
        """Sign on before the first message can be claimed.

        Raises:
            SystemExit: If that is not possible. Dramatiq would log any other error and let the process take messages,
                which it could not claim.
        """
        stopping.clear()
        try:
            self._sign_on(broker, worker)
        except Exception as error:
            if broker.work.closed:
                sys.exit(0)
            cure = "the process ends, so that its supervisor starts another; see whether the database is migrated"
            log.critical("not_signed_on", error=exception_text(error), cure=cure, exc_info=error)
            sys.exit(1)

    def before_worker_shutdown(self, broker: Broker, worker: DramatiqWorker) -> None:
        """Stop insisting on a database that is away."""
        stopping.set()

    def after_worker_shutdown(self, broker: Broker, worker: DramatiqWorker) -> None:
        """Sign off once every thread has ended."""
        if self._upkeep is not None:
            group_commit.close()
            self._upkeep.stop()

    def _sign_on(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:
        reserve_connections(threads=worker.worker_threads + event_loop_of(broker).threads)
        queues = assign_queues(broker, worker, role=self.role)
        upkeep = UpkeepThreads(kind=Worker.Kind.WORKER, queues=queues, threads=worker.worker_threads)

        def start() -> None:
            if broker.work.closed:
                # Told to stop before it could sign on: this is the last try.
                stopping.set()
            upkeep.start()

        insist(start)
        self._upkeep = upkeep

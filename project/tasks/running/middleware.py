"""What connects Dramatiq's worker to the rows: deliveries, the process's life, dead letters."""

from __future__ import annotations

import sys
from dataclasses import asdict

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import Middleware, MiddlewareError
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.database.locks import unlocked
from project.database.room import make_room
from project.tasks.models import TaskRun, Worker
from project.tasks.running.execution import deliver
from project.tasks.running.group_commit import ledger
from project.tasks.running.persistence import insist, stopping
from project.tasks.sending.last_chances import consumed_queues
from project.tasks.upkeep.threads import Housekeeping
from project.values.described import Described, describe

log = structlog.get_logger(__name__)


class Deliveries(Middleware):
    """Hands each message to the task that its worker thread calls next."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Remember the message for this thread."""
        deliver(message._message)


class Life(Middleware):
    """Registers the worker process and runs its housekeeping."""

    def __init__(self) -> None:
        self._housekeeping: Housekeeping | None = None

    def before_worker_boot(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:  # type: ignore[override]
        """Sign on before the first message can be claimed.

        Raises:
            SystemExit: If that is not possible: what a process takes that nobody knows of is lost on it.
        """
        stopping.clear()
        try:
            self._sign_on(broker, worker)
        except Exception as error:
            if broker.work.closed:
                sys.exit(0)
            cure = "the process ends, so that its supervisor starts another; see whether the database is migrated"
            log.critical("not_signed_on", error=f"{type(error).__name__}: {error}".strip(), cure=cure, exc_info=error)
            sys.exit(1)

    def _sign_on(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:
        make_room(threads=worker.worker_threads)
        queues = consumed_queues(broker, worker)
        housekeeping = Housekeeping(kind=Worker.Kind.WORKER, queues=queues, threads=worker.worker_threads)

        def start() -> None:
            if broker.work.closed:
                stopping.set()
            housekeeping.start()

        insist(start)
        self._housekeeping = housekeeping

    def before_worker_shutdown(self, broker: Broker, worker: DramatiqWorker) -> None:
        """Stop insisting on a database that is away."""
        stopping.set()

    def after_worker_shutdown(self, broker: Broker, worker: DramatiqWorker) -> None:
        """Sign off once every thread has ended."""
        if self._housekeeping is not None:
            ledger.close()
            self._housekeeping.stop()


class DeadLetters(Middleware):
    """Makes a run dead whose message was rejected before its task was called."""

    def after_nack(self, broker: Broker, message: MessageProxy) -> None:
        """Record why; the broker has dead-lettered the message already."""
        if "attempt" not in message.options:
            return
        runs = TaskRun.objects.filter(
            id=message.message_id, attempts=message.options["attempt"], state__in=TaskRun.WAITING
        )
        error = message._exception or MiddlewareError("its message was rejected")
        insist(lambda: _die(runs, describe(error, task=message.actor_name)))


def _die(runs: QuerySet[TaskRun], described: Described) -> None:
    with transaction.atomic():
        died = unlocked(runs).update(state=TaskRun.State.DEAD, finished_at=Now(), **asdict(described))
    if died:
        log.error("run_dead", reason=described.error, cure="see why its message was rejected, then retry the run")

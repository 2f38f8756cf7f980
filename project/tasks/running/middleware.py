"""What Dramatiq's worker tells of: which message a thread is about to run, and messages that were rejected."""

from __future__ import annotations

from dataclasses import asdict

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import Middleware, MiddlewareError

from project.broker.delivery import Delivery
from project.broker.dramatiq_internals import failure_of
from project.broker.service import broker as project_broker
from project.database.locks import unlocked
from project.tasks.models import TaskRun
from project.tasks.running.database import insist
from project.tasks.running.execution import deliver
from project.values.described import Described, describe

log = structlog.get_logger(__name__)


class Deliveries(Middleware):
    """Hands each message to the task that its worker thread calls next."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Remember the message for this thread."""
        deliver(message)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Let others have a run that was claimed ahead, and that other middleware keeps from starting here."""
        _give_up_claim(message)


class DeadLetters(Middleware):
    """Makes a run dead whose message was rejected before its task was called."""

    def after_nack(self, broker: Broker, message: MessageProxy) -> None:
        """Record why; the broker has dead-lettered the message already."""
        if "attempt" not in message.options:
            return
        _give_up_claim(message)
        runs = TaskRun.objects.filter(
            id=message.message_id, attempts=message.options["attempt"], state__in=TaskRun.WAITING
        )
        error = failure_of(message) or MiddlewareError("its message was rejected")
        insist(lambda: _die(runs, describe(error, task=message.actor_name)))


def _give_up_claim(message: MessageProxy) -> None:
    claims = project_broker().claims
    if claims is not None and isinstance(message, Delivery) and message.claim is not None:
        claims.give_up([message])


def _die(runs: QuerySet[TaskRun], described: Described) -> None:
    with transaction.atomic():
        died = unlocked(runs).update(state=TaskRun.State.DEAD, finished_at=Now(), **asdict(described))
    if died:
        log.error("run_dead", reason=described.error, cure="see why its message was rejected, then retry the run")

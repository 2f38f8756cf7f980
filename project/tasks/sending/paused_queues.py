"""Tells the broker which queues are paused, so that it hands out none of their messages.

The rows say which queues are; the broker has a copy, because messages without a row do not ask the database.
"""

from __future__ import annotations

import structlog
from django.db import connection, transaction

from project.broker.service import BROKER_ERRORS, broker
from project.tasks.models import PausedQueue

log = structlog.get_logger(__name__)


def copy_pauses() -> None:
    """Have the broker's copy say what the rows say.

    Raises:
        django.db.Error: If the database does not answer.
        redis.RedisError: If the broker does not.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Who copies last has read last.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('tasks.pauses', 0))")
        broker().run_script("pause", *PausedQueue.objects.values_list("queue", flat=True))


def copy_pauses_on_commit() -> None:
    """Tell the broker once the surrounding transaction has committed; if it is away, within seconds after."""
    transaction.on_commit(_copy_soon, robust=True)


def _copy_soon() -> None:
    try:
        copy_pauses()
    except BROKER_ERRORS as error:
        log.warning("broker_not_told_of_pause", error=str(error), cure="it is told again when it answers")

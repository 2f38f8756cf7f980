"""Delete many rows in short transactions."""

from dataclasses import dataclass
from typing import Any

import structlog
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Q, QuerySet

BATCH_SIZE = 10_000
#: How long a batch waits for rows that somebody else is changing before it goes on without them.
LOCK_TIMEOUT = "200ms"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What a deletion came to.

    Args:
        deleted: Rows that are gone.
        errors: Batches the database refused to delete; their rows are as they were.
    """

    deleted: int
    errors: int


def delete_in_batches(rows: QuerySet[Any], *, only: Q | None = None, size: int = BATCH_SIZE) -> Deletion:
    """Delete rows in the order of their keys, each batch in a transaction of its own.

    A row that is changed meanwhile is seen as it was before the change or as it is after it: where the DELETE meets
    a newer version of a row, PostgreSQL checks the filter again on that version. Memory stays flat, and no row
    passes through Python.

    Args:
        rows: What the batches are cut from, by a filter that an index answers. No slice and no join: only what is
            asked of the row itself is checked again, so write ``owner__in=…`` rather than ``owner__is_active=…``.
        only: Which of them to delete; all, by default. For a condition that would make the cutting slow.
        size: How many rows a batch is cut to.
    """
    deleted = errors = 0
    ahead = rows
    while (end := _end_of_batch(ahead, size)) is not None:
        try:
            deleted += _delete(ahead.filter(only or Q(), pk__lte=end))
        except IntegrityError:
            errors += 1
            _log.exception("a batch could not be deleted", table=rows.model._meta.db_table, last=str(end))
        # From here on: a fresh start would wade through the dead rows of every batch before.
        ahead = rows.filter(pk__gt=end)
    return Deletion(deleted=deleted, errors=errors)


def _end_of_batch(ahead: QuerySet[Any], size: int) -> Any:
    keys = ahead.values_list("pk", flat=True)
    full_batch = keys.order_by("pk")[size - 1 : size]
    return full_batch.first() or keys.order_by("-pk").first()


def _delete(batch: QuerySet[Any]) -> int:
    try:
        with transaction.atomic():
            _wait_for_locks_no_longer_than(LOCK_TIMEOUT)
            return _count(batch)
    except OperationalError as error:
        # Rows are locked, or a deadlock was broken at our cost: take the rows that are free.
        _log.info("a batch goes on without the rows that are locked", reason=str(error))
        with transaction.atomic():
            free = batch.order_by("pk").select_for_update(skip_locked=True).values_list("pk", flat=True)
            return _count(batch.model._default_manager.filter(pk__in=list(free)))


def _wait_for_locks_no_longer_than(limit: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [limit])


def _count(rows: QuerySet[Any]) -> int:
    _, by_model = rows.delete()
    return by_model.get(rows.model._meta.label, 0)

"""Delete many rows in short transactions."""

from dataclasses import dataclass
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Model, QuerySet

BATCH_SIZE = 10_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What a deletion came to.

    Args:
        deleted: Rows that are gone.
        errors: Batches the database refused to delete; their rows are as they were.
    """

    deleted: int = 0
    errors: int = 0


def delete_in_batches(rows: QuerySet[Any], *, size: int = BATCH_SIZE) -> Deletion:
    """Delete ``rows``, each batch in a transaction of its own.

    A batch is locked before it is deleted, and PostgreSQL checks the filter again on what it locks, so no row goes
    for what it was a moment ago. A row that somebody else has locked is left for the next time. Memory stays flat:
    the keys of one batch.

    Args:
        rows: What to delete: filtered, not sliced, of a model whose keys have an order.
        size: Most rows of one transaction.
    """
    deleted = errors = 0
    ahead = rows.order_by("pk").select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)
    while True:
        with transaction.atomic():
            keys = list(ahead[:size])
            if not keys:
                return Deletion(deleted=deleted, errors=errors)
            try:
                deleted += _delete(rows.model, keys)
            except IntegrityError:
                errors += 1
                _log.exception("a batch could not be deleted", table=rows.model._meta.db_table, rows=len(keys))
        # From the last key on: a fresh start would wade through the dead rows of every batch before.
        ahead = ahead.filter(pk__gt=keys[-1])


def _delete(model: type[Model], keys: list[Any]) -> int:
    with transaction.atomic():
        _, by_model = model._default_manager.filter(pk__in=keys).delete()
    return by_model.get(model._meta.label, 0)

"""Changing only rows that nobody else is changing: what looks after all rows must not wait for one of them."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


def unlocked(rows: QuerySet[M], *, limit: int | None = None) -> QuerySet[M]:
    """Return those of the rows that nobody else has locked, to be updated or deleted in this transaction.

    The statement locks them itself and waits for none. What is locked stays for the next sweep.

    Args:
        rows: Not sliced.
        limit: Most rows to take.
    """
    free = rows.order_by().select_for_update(skip_locked=True).values("pk")
    return rows.model._default_manager.filter(pk__in=free if limit is None else free[:limit])

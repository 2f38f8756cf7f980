"""Lends a task this thread's database connection, so that nothing it does with it reaches the code around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, connections
from dramatiq.threading import Interrupt
from psycopg.pq import TransactionStatus

from project.database.access import this_connection
from project.database.sessions import Session
from project.tasks.errors import PermanentError

if TYPE_CHECKING:
    from project.database.base import DatabaseWrapper

#: The most that PostgreSQL takes for a time-out.
LONGEST_TIMEOUT = timedelta(milliseconds=2**31 - 1)


@contextmanager
def lent_connection(*, limit: timedelta) -> Iterator[None]:
    """Lend a task this thread's connection, and take it back as it was, or close it.

    A task that does not use it costs nothing.

    Args:
        limit: The database ends each of the task's statements after this long: a time limit cannot interrupt a wait
            for the database.

    Raises:
        PermanentError: If the task returned and left a transaction open that has changed something.
    """
    lent = this_connection()
    lent.session = lent_session(limit=limit)
    is_interrupted = False
    try:
        yield
        must_be_committed(lent)
    except Interrupt:
        is_interrupted = True
        raise
    finally:
        _take_back(lent, is_interrupted=is_interrupted)


@lru_cache(maxsize=100)  # tasks have a handful of limits, and each run asks
def lent_session(*, limit: timedelta) -> Session:
    """Return how a session is set that is lent to a task.

    Args:
        limit: The database ends each of the task's statements after this long.
    """
    milliseconds = int(min(limit, LONGEST_TIMEOUT) / timedelta(milliseconds=1))
    return Session((("statement_timeout", str(milliseconds)),), is_lent=True)


def must_be_committed(lent: DatabaseWrapper) -> None:
    """Check that a task has left no transaction open on its connection that has changed something.

    Raises:
        PermanentError: If it has.
    """
    if lent.connection is None or lent.connection.info.transaction_status == TransactionStatus.IDLE:
        return
    if lent.connection.info.transaction_status == TransactionStatus.INTRANS:
        changed = lent.connection.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").fetchone()
        if not changed[0]:
            return
    raise PermanentError(
        "It left a transaction open, so what it changed was rolled back: commit it, or use transaction.atomic()."
    )


def _take_back(lent: DatabaseWrapper, *, is_interrupted: bool) -> None:
    if is_interrupted or lent.in_atomic_block or lent.needs_rollback:
        # An interrupt may have hit the driver in the middle of a statement.
        lent.discard()
    for connection in connections.all(initialized_only=True):
        connection.close()
    del lent.session
    if lent.in_atomic_block:
        # It would not connect again.
        del connections[DEFAULT_DB_ALIAS]

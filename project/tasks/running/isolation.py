"""Lends a task this thread's database connection, so that nothing it does with it reaches the code around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, connections
from dramatiq.threading import Interrupt
from psycopg.pq import TransactionStatus

from project.database.access import this_connection
from project.database.sessions import Session
from project.tasks.errors import PermanentError

if TYPE_CHECKING:
    from project.database.base import DatabaseWrapper

P = ParamSpec("P")
R = TypeVar("R")

#: The most that PostgreSQL takes for a time-out.
_LONGEST_TIMEOUT = timedelta(milliseconds=2**31 - 1)


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
    milliseconds = int(min(limit, _LONGEST_TIMEOUT) / timedelta(milliseconds=1))
    lent.session = Session((("statement_timeout", str(milliseconds)),), is_lent=True)
    is_interrupted = False
    try:
        yield
        _must_be_committed(lent)
    except Interrupt:
        is_interrupted = True
        raise
    finally:
        _take_back(lent, is_interrupted=is_interrupted)


def giving_back(fn: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Return a coroutine function that gives back, as it was, the connection that database code of coroutines uses.

    All coroutines of a process share one, in a thread of its own, so that it is put right only between their calls.
    """

    @wraps(fn)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await fn(*args, **kwargs)
        finally:
            await sync_to_async(_give_back)()

    return run


def _give_back() -> None:
    shared = this_connection()
    if shared.in_atomic_block:
        return
    if not shared.session.is_lent:
        # The first time, nobody knew yet that it would be lent.
        shared.session = Session(is_lent=True)
        shared.discard()
    shared.close()


def _must_be_committed(lent: DatabaseWrapper) -> None:
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

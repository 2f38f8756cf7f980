"""Database connections of coroutines: few, however many coroutines there are.

Django runs database code of coroutines in threads, through asgiref: by itself all of it in one thread, on one
connection that every coroutine changes and waits for. Here each call gets one of a few threads, and the connection of
its own run, which goes back to the pool, put right, when the call returns. Only a run that leaves something open on it,
a cursor (as `aiterator()` does between two rows) or a transaction, keeps it until that is closed, or the run has ended,
and with it one of the few places. Calls of one run come one after the other, as code that is sensitive to threads
expects.

So what belongs together (a transaction, an advisory lock, a temporary table) belongs into one call of `sync_to_async`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from psycopg.pq import TransactionStatus

from project.database.access import new_connection, using
from project.tasks.running.isolation import LONGEST_TIMEOUT, lent_connection, lent_session, must_be_committed

if TYPE_CHECKING:
    from project.database.base import DatabaseWrapper

P = ParamSpec("P")
T = TypeVar("T")

#: Calls to the database that run at once. Most last a millisecond, and the interpreter runs one thread at a time.
DATABASE_CALLS_AT_ONCE = 4
#: Other blocking calls that run at once, such as those of `asyncio.to_thread`: asyncio has as many on four cores.
BLOCKING_CALLS_AT_ONCE = 8


class RunDatabase:
    """What the coroutines of one run use of the database.

    Args:
        limit: The database ends each of their statements after this long.
    """

    def __init__(self, *, limit: timedelta) -> None:
        self.limit = limit
        self.calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self.is_busy = self.has_place = self.is_closed = False
        self._connection: DatabaseWrapper | None = None

    @property
    def is_used(self) -> bool:
        """Whether there is anything to give back, or a call that has not returned."""
        return self._connection is not None or self.is_busy or bool(self.calls)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function that may use the connection; afterwards give that back, unless something is open on it.

        Raises:
            RuntimeError: If the run has ended.
        """
        if self.is_closed:
            raise RuntimeError("The run that this code belonged to has ended: await what a task starts.")
        self._connection = connection = self._connection or new_connection(lent_session(limit=self.limit))
        with using(connection):
            try:
                return function()
            finally:
                if not self.keeps_connection():
                    connection.close()

    def keeps_connection(self) -> bool:
        """Tell whether something is open that only this connection knows."""
        own = self._connection
        if own is None or own.connection is None:
            return False
        is_idle = own.connection.info.transaction_status == TransactionStatus.IDLE
        return own.in_atomic_block or not is_idle or own.has_open_cursors

    def close(self) -> None:
        """Give everything back at the end of the run.

        Raises:
            PermanentError: If it left a transaction open that has changed something.
        """
        own, self._connection, self.is_closed = self._connection, None, True
        if own is None:
            return
        try:
            must_be_committed(own)
        finally:
            own.discard() if own.in_atomic_block or own.needs_rollback else own.close()


class DatabaseCalls(Executor):
    """Runs database calls of coroutines; asgiref hands them over."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(DATABASE_CALLS_AT_ONCE, thread_name_prefix="database-call")
        self._lock = threading.Lock()
        self._free = DATABASE_CALLS_AT_ONCE
        self._ready: deque[RunDatabase] = deque()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a function called in the database of the calling coroutine's run."""
        run = _database.get()
        return self._queue(run, partial(run.call, partial(function, *args, **kwargs)))

    def close(self, run: RunDatabase) -> Future[None]:
        """Have a run's connection given back, once its last call has returned."""
        return self._queue(run, run.close)

    def _queue(self, run: RunDatabase, call: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            run.calls.append((future, call))
            if not run.is_busy:
                self._make_ready(run)
                self._start_ready()
        return future

    def _make_ready(self, run: RunDatabase) -> None:
        run.is_busy = True
        # One that has its place already waits for nobody.
        self._ready.appendleft(run) if run.has_place else self._ready.append(run)

    def _start_ready(self) -> None:
        """Start the calls that have a place; those that do not wait in their order."""
        while self._ready and (self._free or self._ready[0].has_place):
            run = self._ready.popleft()
            self._free -= not run.has_place
            run.has_place = True
            self._threads.submit(self._call, run)

    def _call(self, run: RunDatabase) -> None:
        future, call = run.calls.popleft()
        if future.set_running_or_notify_cancel():
            _settle(future, call)
        with self._lock:
            run.is_busy, run.has_place = False, run.keeps_connection()
            self._free += not run.has_place
            if run.calls:
                self._make_ready(run)
            self._start_ready()


class BlockingCalls(ThreadPoolExecutor):
    """Runs other blocking calls of coroutines; what one does to a database connection ends with the call."""

    def __init__(self) -> None:
        super().__init__(BLOCKING_CALLS_AT_ONCE, thread_name_prefix="blocking-call")

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in a thread."""
        run = _database.get(None)
        return super().submit(_on_lent_connection, run.limit if run else LONGEST_TIMEOUT, partial(fn, *args, **kwargs))


def enter_database(*, limit: timedelta) -> RunDatabase:
    """Let the calling coroutine and those that it starts use the database from now on.

    Args:
        limit: The database ends each statement after this long.
    """
    database = RunDatabase(limit=limit)
    _database.set(database)
    SyncToAsync.thread_sensitive_context.set(_context)
    return database


async def leave_database(database: RunDatabase) -> None:
    """Give back what a run used, once its last call has returned.

    Raises:
        PermanentError: If it left a transaction open that has changed something.
    """
    if database.is_used:
        await asyncio.wrap_future(_calls.close(database))
    database.is_closed = True


def _settle(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # it is the caller's
        future.set_exception(error)


def _on_lent_connection(limit: timedelta, function: Callable[[], T]) -> T:
    with lent_connection(limit=limit):
        return function()


_database: ContextVar[RunDatabase] = ContextVar("run_database")
_calls = DatabaseCalls()
#: asgiref looks up by this who runs calls.
_context = ThreadSensitiveContext()
SyncToAsync.context_to_thread_executor[_context] = _calls

"""How the machinery uses the database: on connections of its own, and insisting on an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import structlog
from django.db import DataError, IntegrityError, ProgrammingError
from django.db import Error as DatabaseError

from project.database.access import new_connection, this_connection, using
from project.database.sessions import Session

if TYPE_CHECKING:
    from project.database.base import DatabaseWrapper

T = TypeVar("T")
log = structlog.get_logger(__name__)

#: A statement that waits this long for a lock fails and is tried again, so that it never waits for ever and a process
#: goes on beating. Longer than `deadlock_timeout`, so that the database still finds and reports deadlocks; much shorter
#: than the silence after which a process is presumed dead.
LOCK_TIMEOUT = timedelta(seconds=2)
#: The machinery's sessions. Without the second setting, PostgreSQL plans the prepared statements anew for each length
#: of their arrays, which costs more than running them. So each is planned once, perhaps while the table of runs is
#: empty: without the others, a plan that reads all of it would stay until autovacuum comes by, and cost a third of the
#: throughput at ten thousand rows. Every statement of the machinery has an index that leads to its rows.
MACHINERY = Session(
    (
        ("lock_timeout", f"{LOCK_TIMEOUT.total_seconds():g}s"),
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ),
)
#: Threads beside the work that keep or need a connection: the heartbeat, the claims, the duties, the broker's, the
#: group commit's, the main thread, one that frees a dead process's runs, and one that records a dead letter.
THREADS_BESIDE_THE_WORK = 8
#: The pause between two tries: short beside a restart of the database, long enough not to burden one that starts.
TRY_AGAIN_AFTER = timedelta(milliseconds=500)

#: Set when the process is told to stop: nobody insists any longer.
stopping = threading.Event()


class _Trouble:
    """When this process saw the database fail last."""

    _seen_at = float("-inf")

    def note(self) -> None:
        """Note that it failed just now."""
        self._seen_at = time.monotonic()

    def is_over_for(self, duration: timedelta) -> bool:
        """Tell whether it has not failed for so long."""
        return time.monotonic() - self._seen_at >= duration.total_seconds()


trouble = _Trouble()


def reserve_connections(*, threads: int) -> None:
    """Let the process open as many connections as it has threads that use the database.

    A worker thread keeps its connection while it waits for another thread to write what it claims; if that one
    waited for a connection in turn, neither would ever go on, and the process would be presumed dead.

    Args:
        threads: How many of them are there for runs.
    """
    pool, needed = this_connection().own_pool, threads + THREADS_BESIDE_THE_WORK
    if pool.max_size < needed:
        log.warning("database_pool_enlarged", cure=f"set DATABASE_POOL_SIZE to {needed}", was=pool.max_size)
        pool.max_size = needed


@contextmanager
def own_connection(connection: DatabaseWrapper | None = None) -> Iterator[DatabaseWrapper]:
    """Have all database code of this thread use a connection of the machinery's own, never a task's.

    Args:
        connection: One that is kept open; by default another one, which is given back at the end.
    """
    own = connection or new_connection(MACHINERY)
    with using(own):
        try:
            yield own
        finally:
            if connection is None:
                own.close()


def insist(operation: Callable[[], T], *, connection: DatabaseWrapper | None = None) -> T:
    """Repeat `operation` until the database executes it: an outcome must not be lost because the database restarts.

    The operation uses a connection of the machinery's own. Whatever the database raises is tried again, be it
    unreachable, read-only, full or locked; only an error of the data that comes twice is final.

    Args:
        operation: What is repeated; it should change all or nothing.
        connection: What it uses; by default another one, which is given back at the end.

    Returns:
        What the operation returned.

    Raises:
        django.db.Error: An error of the data that came twice; any error if the process is told to stop, and the run
            is then taken over by another worker.
    """
    last = ""
    while True:
        with own_connection(connection) as own:
            try:
                return operation()
            except DatabaseError as error:
                own.discard()
                trouble.note()
                if stopping.is_set() or (_is_of_data(error) and str(error) == last):
                    raise
                last, is_of_data = str(error), _is_of_data(error)
        if not is_of_data:
            log.warning("database_unreachable", error=last.strip(), cure="trying again until it answers")
            stopping.wait(TRY_AGAIN_AFTER.total_seconds())


def _is_of_data(error: DatabaseError) -> bool:
    """Tell whether the data are to blame, not the database: also for what the driver refuses to send at all."""
    if isinstance(error, ProgrammingError):
        return getattr(error.__cause__, "sqlstate", None) is None
    return isinstance(error, (DataError, IntegrityError))

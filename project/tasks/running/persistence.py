"""Keeping at it while the database is away."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import structlog
from django.db import DataError, IntegrityError, ProgrammingError
from django.db import Error as DatabaseError

from project.tasks.running.connections import own_connection

if TYPE_CHECKING:
    from project.database.base import DatabaseWrapper

T = TypeVar("T")
log = structlog.get_logger(__name__)

#: Set when the process is told to stop: nobody insists any longer.
stopping = threading.Event()
#: Seconds between two tries.
_PAUSE = 0.5


def insist(operation: Callable[[], T], *, connection: "DatabaseWrapper | None" = None) -> T:
    """Repeat ``operation`` until the database executes it: an outcome must not be lost to its restart.

    The operation uses a connection of the machinery's own. Whatever the database raises is tried again, be it
    unreachable, read-only, full or locked; only an error of the data that comes twice is final.

    Args:
        operation: What is repeated; it should change all or nothing.
        connection: What it uses, if not a connection for this once.

    Raises:
        django.db.Error: That error of the data; any error if the process is told to stop, and the run is then
            taken over by another worker.
    """
    last = ""
    while True:
        with own_connection(connection) as own:
            try:
                return operation()
            except DatabaseError as error:
                own.discard()
                if stopping.is_set() or (_is_of_data(error) and str(error) == last):
                    raise
                last, is_of_data = str(error), _is_of_data(error)
        if not is_of_data:
            log.warning("database_unreachable", error=last.strip(), cure="trying again until it answers")
            stopping.wait(_PAUSE)


def _is_of_data(error: DatabaseError) -> bool:
    """Tell whether the data are to blame, not the database: also for what the driver refuses to send at all."""
    if isinstance(error, ProgrammingError):
        return getattr(error.__cause__, "sqlstate", None) is None
    return isinstance(error, (DataError, IntegrityError))

"""Keeping at it while the database is away."""

import threading
from collections.abc import Callable
from typing import TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")
log = structlog.get_logger(__name__)

#: Set when the process is told to stop: nobody insists any longer.
stopping = threading.Event()
#: Seconds between two tries.
_PAUSE = 0.5


def insist(operation: Callable[[], T]) -> T:
    """Repeat ``operation`` until the database answers: an outcome must not be lost to its restart.

    Raises:
        OperationalError: If the process is told to stop while the database is away; the run is then taken
            over by another worker.
    """
    while True:
        try:
            return operation()
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if stopping.is_set():
                raise
            log.warning("database_unreachable", error=str(error).strip(), cure="trying again until it answers")
            stopping.wait(_PAUSE)

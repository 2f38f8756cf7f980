"""Which connection the code of this thread uses, and another one for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from django.db import DEFAULT_DB_ALIAS, connections

from project.database.sessions import Session

if TYPE_CHECKING:
    from project.database.base import DatabaseWrapper


def this_connection() -> DatabaseWrapper:
    """Return the connection that database code of this thread uses."""
    return cast("DatabaseWrapper", connections[DEFAULT_DB_ALIAS])


def new_connection(session: Session) -> DatabaseWrapper:
    """Return a connection that no thread uses yet; it connects when it is used.

    Args:
        session: How its session is set, beside what holds for the whole process.
    """
    connection = cast("DatabaseWrapper", connections.create_connection(DEFAULT_DB_ALIAS))
    connection.session = connection.session | session
    # Its owner sees to it that one thread uses it at a time.
    connection.inc_thread_sharing()
    return connection


@contextmanager
def using(connection: DatabaseWrapper) -> Iterator[None]:
    """Let all database code of this thread use another connection for a while."""
    usual = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = connection
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = usual

"""Notices a pooler in transaction mode that the settings do not know of."""

from collections.abc import Sequence
from typing import Any

import psycopg
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.management import CommandError

from project.database.access import this_connection

_FOUND = "DATABASE_URL leads to a pooler that gives every transaction another session, as PgBouncer in transaction mode"
_HINT = "Set DATABASE_POOLER=transaction, or connect to PostgreSQL itself or to a pooler in session mode."


@register(Tags.database)
def check_sessions(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Check, where a database may be asked, that its sessions are what the settings say."""
    return [Error(_FOUND, hint=_HINT, id="database.E001")] if databases and not _sessions_are_as_set() else []


def refuse_shared_sessions() -> None:
    """Keep a process from starting that would leave its settings in the sessions of others.

    Raises:
        CommandError: With the cure. A database that does not answer is another matter.
    """
    try:
        is_as_set = _sessions_are_as_set()
    except psycopg.Error:
        return
    if not is_as_set:
        raise CommandError(f"{_FOUND}. {_HINT}")


def _sessions_are_as_set() -> bool:
    """Tell whether each connection keeps its session, or the settings know that it does not.

    A connection whose session has another process id than the server had announced goes through a pooler. If a second
    one is then given the very session that the first still has, the pooler shares sessions.
    """
    if not settings.DATABASE_KEEPS_SESSIONS:
        return True
    parameters = this_connection().get_connection_params()
    with psycopg.connect(**parameters, autocommit=True) as first:
        session = _session_of(first)
        if session == first.info.backend_pid:
            return True
        with psycopg.connect(**parameters) as second:
            return _session_of(second) != session and _session_of(first) == session


def _session_of(connection: psycopg.Connection[Any]) -> int:
    return int(connection.execute("SELECT pg_backend_pid()").fetchall()[0][0])

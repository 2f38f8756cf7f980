"""Django's PostgreSQL backend, with connections from this process's pool; `ENGINE` names the package."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakSet

import psycopg
from django.conf import settings
from django.db import transaction
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base

from project.database.pool import Held, Pool
from project.database.schema import DatabaseSchemaEditor
from project.database.sessions import Session

_pools: dict[tuple[object, ...], Pool] = {}


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that is taken from the pool when it is used, and given back when it is closed."""

    SchemaEditorClass = DatabaseSchemaEditor
    #: How the session is set; set on the class, it holds for every connection of the process.
    session = Session()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: Held | None = None
        self._is_spoilt = False
        self._server_side_cursors: WeakSet[Any] = WeakSet()
        if not settings.DATABASE_KEEPS_SESSIONS:
            self.execute_wrappers.append(self._execute_in_transaction)

    @property
    def own_pool(self) -> Pool:
        """The pool of this process and database; `pool` is Django's, which is not used."""
        target = self.settings_dict
        key = (os.getpid(), self.alias, target["NAME"], target["HOST"], target["PORT"], target["USER"])
        if key not in _pools:
            limits: dict[str, Any] = settings.DATABASE_POOL
            _pools.setdefault(key, Pool(**limits, keeps_sessions=settings.DATABASE_KEEPS_SESSIONS))
        return _pools[key]

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """Take a connection from the pool.

        Raises:
            psycopg.OperationalError: If the server cannot be reached, or no connection is free in time.
        """
        connect: Callable[[], psycopg.Connection[Any]] = partial(super().get_new_connection, conn_params)
        if self.alias == NO_DB_ALIAS:
            return connect()
        self._is_spoilt = False
        self._held = self.own_pool.take(self.session, connect)
        return self._held.raw

    @property
    def has_open_cursors(self) -> bool:
        """Whether somebody still reads from a cursor that the server keeps for this connection."""
        return any(not cursor.closed for cursor in self._server_side_cursors)

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor; one with a name is kept by the server."""
        cursor = super().create_cursor(name)
        if name is not None:
            self._server_side_cursors.add(cursor)
        return cursor

    def discard(self) -> None:
        """Close the connection and do not give it back to the pool: nobody knows what state it is in."""
        self._is_spoilt = True
        self.close()

    def close_pool(self) -> None:
        """Close every connection of this process that is idle, and the others when they come back."""
        if self.alias != NO_DB_ALIAS:
            self.own_pool.close()

    def set_autocommit(self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False) -> None:
        """Begin or end a transaction; where sessions are shared, each transaction makes the settings."""
        super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)
        if not (autocommit or settings.DATABASE_KEEPS_SESSIONS) and self.session.settings:
            with self.wrap_database_errors:
                self.connection.execute(self.session.to_sql(scope="LOCAL"))

    def _close(self) -> None:
        held, self._held = self._held, None
        if held is None:
            super()._close()  # type: ignore[misc] # django-stubs does not know it
        elif self.connection is not None:
            # As with Django's own pool: whoever still holds the wrapper must not use what is another's now.
            self.connection = None
            self.own_pool.give_back(held, is_spoilt=self._is_spoilt)

    def _execute_in_transaction(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Execute a statement in a transaction, because settings can be made for nothing else behind such a pooler."""
        if self.in_atomic_block or not self.get_autocommit() or not self.session.settings:
            return execute(sql, params, many, context)
        with transaction.atomic(using=self.alias):
            return execute(sql, params, many, context)

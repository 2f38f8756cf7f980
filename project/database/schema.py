"""Changing tables that are in use."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from django.db.backends.postgresql import schema

#: How long a migration waits for a lock. Whoever wants the table meanwhile waits behind it, so it gives up before a
#: statement of the machinery would (2 s), and is tried again.
LOCK_TIMEOUT = timedelta(seconds=1)


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    """Waits for a lock only briefly, where what was done so far is undone then.

    What does not run in a transaction, such as an index that is built while its table is in use, may take its time: it
    keeps nobody waiting, and would leave a half built index behind.
    """

    def __enter__(self) -> Self:
        editor = super().__enter__()
        if self.atomic_migration and not self.collect_sql:
            self.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT / timedelta(milliseconds=1):.0f}ms'")
        return editor

"""Django's `migrate`, which must not stop a service that is running."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import OperationalError
from psycopg.errors import LockNotAvailable

#: Between two tries others get the table, as long as they need to be done with what had to wait.
TRY_AGAIN_AFTER = timedelta(seconds=1)
#: How often a migration is tried: for some minutes, longer than a backup locks one table.
MOST_TRIES = 150


class Command(DjangoCommand):
    """Migrate; a migration that does not get its lock at once gives up and is tried again."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Apply what is not applied yet; what was applied before a migration that gave up stays.

        Raises:
            CommandError: If somebody keeps a table locked.
        """
        for number in range(MOST_TRIES):
            time.sleep(TRY_AGAIN_AFTER.total_seconds() if number else 0)
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
                self.stderr.write(f"A table is in use; trying again: {str(error).strip()}")
            else:
                return
        raise CommandError("A table stays locked: see pg_stat_activity for a transaction that is open for long.")

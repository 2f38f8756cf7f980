"""Lock what others need in the database, and see who waits for whom."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection


def waiting_for_locks() -> int:
    """Return how many lock requests in the test's database are waiting."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # it would not change again within a transaction
        cursor.execute(
            "SELECT count(DISTINCT pg_locks.pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE NOT granted AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


@contextmanager
def elsewhere() -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
    """Open a transaction on a connection of somebody else's; it is committed at the end."""
    database = connection.settings_dict
    names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "NAME": "dbname"}
    target = {ours: str(database[theirs]) for theirs, ours in names.items() if database[theirs]}
    with psycopg.connect(**target) as other, other.cursor() as cursor:  # type: ignore[arg-type]
        yield cursor


@contextmanager
def in_a_thread(do: Callable[[], object]) -> Iterator[threading.Thread]:
    """Do something beside the block, and wait for its end after it."""

    def run() -> None:
        try:
            do()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(timeout=10)

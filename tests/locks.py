"""See who waits for whom in the database."""

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

"""How fast completed todos are deleted: by a loop over users, by the service, and by one raw DELETE."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import django
from django.apps import apps
from django.db import connection
from django.utils.module_loading import import_string

from project.embedded.postgres import postgres

TODOS_PER_USER = 50
ROUNDS = 3

FILL = """
    INSERT INTO users_user
        (username, email, password, first_name, last_name, is_superuser, is_staff, is_active, date_joined)
    SELECT 'user' || n, 'user' || n || '@example.com', '', '', '', false, false, true, now()
    FROM generate_series(1, %(users)s) n;

    INSERT INTO todo_todo (title, description, completed, created_at, updated_at, user_id)
    SELECT 'todo', 'some words about it', n %% 2 = 0, now() - n * interval '1 minute', now(), users_user.id
    FROM generate_series(1, %(todos)s) n, users_user
    ORDER BY n, users_user.id;
"""
RAW_DELETE = """
    DELETE FROM todo_todo USING users_user
    WHERE users_user.id = todo_todo.user_id AND users_user.is_active AND todo_todo.completed
"""


def run(*, quick: bool = False) -> dict[str, float]:
    """Measure each way on the same data.

    Args:
        quick: 500 users instead of 5,000.

    Returns:
        Seconds of each way, and how many times faster than the loop and slower than the raw DELETE the service is.
    """
    users = 500 if quick else 5_000
    with scratch_database():
        import_string("todo.services.cleanup")  # so that no import is measured
        loop, service, raw = (_best_seconds(delete, users=users) for delete in (_loop, _service, _raw))
    return {
        "users": users,
        "todos": users * TODOS_PER_USER,
        "loop_seconds": round(loop, 4),
        "service_seconds": round(service, 4),
        "raw_seconds": round(raw, 4),
        "times_faster_than_loop": round(loop / service, 1),
        "times_slower_than_raw": round(service / raw, 1),
    }


def main() -> None:
    """Print the figures."""
    figures = run()
    print(f"{figures['users']:.0f} users, {figures['todos']:.0f} todos, half of them completed")
    for way in ("loop", "service", "raw"):
        print(f"  {way:8} {figures[f'{way}_seconds']:7.3f} s")
    print(f"  {figures['times_faster_than_loop']:.1f} times faster than one DELETE per user")
    print(f"  {figures['times_slower_than_raw']:.1f} times slower than one raw DELETE for all")


def _loop() -> int:
    todos = apps.get_model("todo", "Todo")._default_manager
    users = apps.get_model("users", "User")._default_manager.filter(is_active=True)
    return sum(todos.filter(user=user, completed=True).delete()[0] for user in users.iterator())


def _service() -> int:
    deleted: int = import_string("todo.services.cleanup")().todos_deleted
    return deleted


def _raw() -> int:
    with connection.cursor() as cursor:
        cursor.execute(RAW_DELETE)
        return int(cursor.rowcount)


def _best_seconds(delete: Callable[[], int], *, users: int) -> float:
    return min(_seconds(delete, users=users) for _ in range(ROUNDS))


def _seconds(delete: Callable[[], int], *, users: int) -> float:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE users_user RESTART IDENTITY CASCADE")
        cursor.execute(FILL, {"users": users, "todos": TODOS_PER_USER})
        cursor.execute("VACUUM ANALYZE todo_todo, users_user")
        cursor.execute("CHECKPOINT")
    began = time.perf_counter()
    deleted = delete()
    seconds = time.perf_counter() - began
    assert deleted == users * TODOS_PER_USER // 2
    return seconds


@contextmanager
def scratch_database() -> Iterator[None]:
    """Connect Django to an empty database: on the server of `DATABASE_URL`, or on one started for this."""
    with ExitStack() as ends:
        if "DATABASE_URL" not in os.environ:
            directory = ends.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
            server = postgres(Path(directory, "postgres"))
            server.start()
            ends.callback(server.stop)
            server.wait_until_ready()
            os.environ["DATABASE_URL"] = server.url
            ends.callback(os.environ.pop, "DATABASE_URL")
        if not apps.ready:
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
            django.setup()
        name = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        ends.callback(connection.creation.destroy_test_db, name, verbosity=0)
        yield


if __name__ == "__main__":
    main()

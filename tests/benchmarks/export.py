"""How fast a million todos of one user are exported, and how much memory that takes."""

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from django.db import connection
from django.test import override_settings
from django.utils.module_loading import import_string

from tests.benchmarks.cleanup import scratch_database

TODOS = 1_000_000
PDF_TODOS = 5_000
_ADD_USER = """
    INSERT INTO users_user
        (username, email, password, first_name, last_name, is_superuser, is_staff, is_active, date_joined)
    VALUES (%(name)s, %(name)s, '', '', '', false, false, true, now()) RETURNING id
"""
_ADD_TODOS = """
    INSERT INTO todo_todo (title, description, completed, created_at, updated_at, user_id)
    SELECT 'todo ' || n, 'some words about it', n %% 2 = 0, now() - n * interval '1 second', now(), %(user_id)s
    FROM generate_series(1, %(todos)s) n
"""


def run(*, quick: bool = False) -> dict[str, float]:
    """Export as each format; CSV first, so that the others' memory counts only where it is more.

    Args:
        quick: 50,000 todos instead of a million.

    Returns:
        Todos a second of each format, the most memory of the process, and by how much it grew beyond what a short
        export took.
    """
    todos = 50_000 if quick else TODOS
    with scratch_database(), tempfile.TemporaryDirectory(prefix="bench-") as directory, _kept_in(Path(directory)):
        few, many, printed = (_user_with(count) for count in (100, todos, PDF_TODOS))
        _exported(few, "csv"), _exported(few, "jsonl")
        before = _peak_megabytes()
        figures: dict[str, float] = {"todos": todos}
        figures |= {f"{kind}, todos/s": round(_exported(many, kind)) for kind in ("csv", "jsonl")}
        figures |= {"peak MB": round(_peak_megabytes()), "MB more than for 100": round(_peak_megabytes() - before, 1)}
        return figures | {"pdf of 5,000, todos/s": round(_exported(printed, "pdf"))}


def _kept_in(directory: Path) -> Any:
    options = {"location": directory, "file_permissions_mode": 0o600}
    storage = {"exports": {"BACKEND": "reports.storage.ExportDirectory", "OPTIONS": options}}
    return override_settings(EXPORTS_DIRECTORY=directory, STORAGES=storage)


def _user_with(todos: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_ADD_USER, {"name": f"user of {todos}"})
        user_id: int = cursor.fetchone()[0]
        cursor.execute(_ADD_TODOS, {"user_id": user_id, "todos": todos})
        cursor.execute("VACUUM ANALYZE todo_todo")
    return user_id


def _exported(user_id: int, kind: str) -> float:
    """Export a user's todos, as the task does, and return how many a second."""
    export, uuid7 = import_string("reports.services.export_todos"), import_string("project.values.ids.uuid7")
    began = time.perf_counter()
    result = export(user_id=user_id, kind=kind, export_id=uuid7(), report=lambda fraction, note: None)
    return float(result.rows) / (time.perf_counter() - began)


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(run())

"""What operators ask for is found with an index: few rows are read, however many there are."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from project.desk.failures import failure_groups
from project.tasks.repair.filters import RunFilter
from tests.people import a_user

pytestmark = pytest.mark.django_db

ROWS = 60_000
#: Of that many rows a page, a count, or a step of a bulk retry may read so many.
MOST_READ = 2_000
PARENT = UUID(int=7)

# The rarest are the oldest: a walk from the newest would read nearly everything.
FILL = f"""
    INSERT INTO tasks_taskrun (id, task, queue, priority, arguments, state, created_at, run_after, finished_at, source,
                               request_id, schedule, error_type, fingerprint, bulk_id, parent_id, next_steps)
    SELECT lpad(to_hex(n), 32, '0')::uuid,
           CASE WHEN n <= 60 THEN 'rare' WHEN n <= {ROWS // 2} THEN 'old' ELSE 'common' END,
           CASE WHEN n <= 60 THEN 'rare' WHEN n <= {ROWS // 2} THEN 'old' ELSE 'common' END,
           0, '{{}}', state, now(), now(), CASE WHEN state = 'queued' THEN NULL ELSE now() END, 'code',
           CASE WHEN n <= 60 THEN 'rare' ELSE '' END, CASE WHEN n <= 60 THEN 'rare' ELSE '' END,
           CASE WHEN state NOT IN ('dead', 'discarded') THEN '' WHEN n <= 60 THEN 'RareError' ELSE 'CommonError' END,
           CASE WHEN state NOT IN ('dead', 'discarded') THEN '' WHEN n <= 60 THEN 'rare' ELSE 'common' END,
           CASE WHEN n <= 60 THEN '{PARENT}'::uuid END, CASE WHEN n <= 60 THEN '{PARENT}'::uuid END, '[]'
      FROM (SELECT n, CASE WHEN n <= 20 OR n % 20 = 0 THEN 'dead' WHEN n <= 40 THEN 'discarded'
                           WHEN n > {ROWS - 500} THEN 'queued' ELSE 'succeeded' END AS state
              FROM generate_series(1, {ROWS}) AS n) AS numbered
"""
ASKED: list[dict[str, Any]] = [
    {},
    {"task": "rare"},
    {"task": "old"},
    {"task": "common"},
    {"task": "nobody"},
    {"queue": "rare"},
    {"queue": "old"},
    {"queue": "common"},
    {"queue": "nobody"},
    {"queue": "rare", "task": "rare"},
    {"queue": "rare", "state": "succeeded"},
    {"queue": "rare", "state": "dead"},
    {"queue": "common", "state": "queued"},
    {"error_type": "RareError"},
    {"error_type": "CommonError"},
    {"error_type": "RareError", "state": "dead"},
    {"error_type": "RareError", "state": "discarded"},
    {"fingerprint": "rare"},
    {"fingerprint": "rare", "state": "dead"},
    {"fingerprint": "common", "state": "dead", "task": "common", "error_type": "CommonError"},
    {"schedule": "rare"},
    {"request_id": "rare"},
    {"bulk_id": PARENT},
    {"parent_id": PARENT},
    {"state": "expired"},
    {"state": "pending"},
    {"state": "retrying"},
    {"state": "running"},
    {"queue": "rare", "state": "pending"},
    {"queue": "rare", "state": "running"},
]
LISTED = [{"queue": "rare"}, {"error_type": "RareError"}, {"fingerprint": "rare"}, {"q": "rare"}, {"task": "old"}]
RUNS = "/admin/tasks/taskrun/"


def rows_read(ask: Callable[[], object]) -> float:
    """Return how many rows of the table the queries of a question have read."""
    with CaptureQueriesContext(connection) as queries:
        ask()
    plans = [_plan(query["sql"]) for query in queries.captured_queries if "tasks_taskrun" in query["sql"]]
    return sum(rows for plan in plans for rows in _scans(plan))


def _plan(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql.replace("%", "%%"), [])
        plans = cursor.fetchone()[0]
    return (json.loads(plans) if isinstance(plans, str) else plans)[0]["Plan"]


def _scans(node: dict[str, Any]) -> Iterator[float]:
    if "Scan" in node["Node Type"] and node["Node Type"] not in ("Subquery Scan", "Bitmap Index Scan"):
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        yield (node["Actual Rows"] + removed) * node["Actual Loops"]
    for below in node.get("Plans", []):
        yield from _scans(below)


def a_viewer() -> Client:
    user = a_user(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_taskrun"))
    client = Client()
    client.force_login(user)
    return client


def test_no_filter_and_no_page_reads_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.desk.admin.listing.MOST_PAGED", 500)
    with connection.cursor() as cursor:
        cursor.execute(FILL)
        cursor.execute("ANALYZE tasks_taskrun")
    read: dict[str, float] = {}
    for which in (RunFilter(**asked) for asked in ASKED):
        read[f"page of {which}"] = rows_read(lambda which=which: list(which.newest(51)))  # type: ignore[misc]
        read[f"count of {which}"] = rows_read(lambda which=which: which.newest(500).count())  # type: ignore[misc]
    client = a_viewer()
    for query in LISTED:
        read[f"list of {query}"] = rows_read(lambda query=query: client.get(RUNS, query))  # type: ignore[misc]
    assert {what: rows for what, rows in read.items() if rows > MOST_READ} == {}
    # Two walks over what is dead, without its rows.
    assert rows_read(failure_groups) <= 2 * ROWS / 20 + MOST_READ

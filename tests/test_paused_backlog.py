"""What waits in a paused queue costs nothing, and holds up nobody else."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from project.broker.broker import ServiceBroker
from project.tasks.models import TaskRun
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue, resume_queue
from project.tasks.sending.outbox import relay_once
from project.tasks.upkeep.duties import _ASK, Duties
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)

GRACE = Operator("grace", "command")
_INSERT = """
    INSERT INTO tasks_taskrun (id, task, queue, priority, arguments, state, created_at, run_after, source, request_id,
                               schedule, next_steps)
    SELECT gen_random_uuid(), 'tests.add', 'default', 0, '{"left": 1}', 'pending', now() - interval '1 hour',
           now() - interval '1 hour', 'code', '', '', '[]'
      FROM generate_series(1, 20000)
"""


@pytest.fixture(autouse=True)
def backlog(broker: ServiceBroker) -> None:
    """Have 20,000 runs wait in a paused queue."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT)
        cursor.execute("ANALYZE tasks_taskrun")
    pause_queue("default", by=GRACE, reason="moving house")


def most_rows_read(sql: str) -> int:
    """Give the number of rows that one step of a statement looked at."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        plan = cursor.fetchone()[0][0]["Plan"]
    return max(_rows(plan))


def _rows(plan: dict[str, Any]) -> list[int]:
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    below = [rows for each in plan.get("Plans", []) for rows in _rows(each)]
    return [int(plan["Actual Rows"] + removed), *below]


def test_the_relay_looks_at_no_run_of_a_paused_queue() -> None:
    a_minute_ago = timezone.now() - timedelta(minutes=1)
    due = a_run("pending", queue="maintenance", run_after=a_minute_ago, created_at=a_minute_ago)
    with CaptureQueriesContext(connection) as queries:
        assert relay_once() == 1
    taken = [query["sql"] for query in queries.captured_queries if "FOR UPDATE" in query["sql"]]
    assert TaskRun.objects.get(id=due.id).state == TaskRun.State.QUEUED
    assert max(map(most_rows_read, taken)) < 100


def test_the_duties_question_looks_at_no_run_of_a_paused_queue() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
    asked = _ASK.replace("%(dead_after)s", "'10 seconds'")
    assert most_rows_read(asked) < 100
    with CaptureQueriesContext(connection) as queries:
        Duties().do_what_is_due()
    assert not [query for query in queries.captured_queries if "FOR UPDATE" in query["sql"]]


def test_the_backlog_is_published_when_its_queue_is_resumed(broker: ServiceBroker) -> None:
    resume_queue("default", by=GRACE)
    assert relay_once(limit=100) == 100
    assert broker.client.llen("dramatiq:default") == 100

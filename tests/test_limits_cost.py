"""What waits for a limit costs the same however much it is, on one key or on many."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from project.broker.broker import ServiceBroker
from project.tasks.models import Limit, Start, TaskRun
from project.tasks.sending import looks
from project.tasks.sending.outbox import admit, fill_slots
from project.tasks.upkeep.duties import _ASK
from tests import tasks_for_tests as tasks
from tests.test_paused_backlog import most_rows_read

pytestmark = pytest.mark.django_db(transaction=True)

_INSERT = """
    INSERT INTO tasks_taskrun (id, task, queue, priority, arguments, state, created_at, run_after, source, request_id,
                               schedule, next_steps, limit_key)
    SELECT gen_random_uuid(), split_part(%(key)s, ':', 1), 'default', 0, '{"number": 0}', 'pending', now(),
           now() - interval '1 hour' + n * interval '1 millisecond', 'code', '', '', '[]',
           %(key)s || CASE WHEN %(numbered)s THEN n::text ELSE '' END
      FROM generate_series(1, %(count)s) AS n
"""
#: More than any statement may look at: a step of the walk and what may be published at once.
_MOST_ROWS = 2 * looks._STEP


def insert(key: str, *, count: int, numbered: bool = False) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, {"key": key, "count": count, "numbered": numbered})
        cursor.execute("ANALYZE tasks_taskrun")


@pytest.fixture(autouse=True)
def backlog(broker: ServiceBroker, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have 20,000 runs wait for one limit, and one for each of 1,200 keys under which as many as may have started."""
    insert("tests.rated", count=20_000)
    insert("tests.rated_by_user:", count=1_200, numbered=True)
    keys = [f"tests.rated_by_user:{n}" for n in range(1, 1_201)]
    look_at = timezone.now() + timedelta(hours=1)
    Limit.objects.bulk_create(Limit(key=key, look_at=look_at, started=2) for key in keys)
    Start.objects.bulk_create(Start(limit_key=key, number=number) for key in keys for number in (1, 2))
    settings.DATABASE_KEEPS_SESSIONS = False
    monkeypatch.setattr(looks.walk, "_after", "")


def test_what_may_start_is_published_without_a_look_at_the_others() -> None:
    with CaptureQueriesContext(connection) as queries:
        admit("tests.rated")
    assert TaskRun.objects.filter(state=TaskRun.State.QUEUED).count() == 3
    assert len(queries) < 12
    assert max(most_rows_read(query["sql"]) for query in queries if "tasks_" in query["sql"]) < 50


def test_a_look_at_what_waits_reads_a_bounded_number_of_limits() -> None:
    with CaptureQueriesContext(connection) as queries:
        fill_slots()
    walks = [query["sql"] for query in queries if "WITH RECURSIVE waiting" in query["sql"]]
    assert len(walks) == 1
    assert most_rows_read(walks[0]) < _MOST_ROWS
    assert len(queries) < 20 + 2 * looks._STEP


def test_the_walk_comes_to_each_limit() -> None:
    found: set[str] = set()
    Start.objects.all().delete()
    walk = looks.Walk()
    while len(found) < 1_201:
        found |= set(walk.with_room())


def test_the_duties_question_reads_nothing_of_what_waits() -> None:
    assert most_rows_read(_ASK.replace("%(dead_after)s", "'10 seconds'")) < 50


def test_a_send_behind_a_backlog_looks_at_none_of_it() -> None:
    admit("tests.rated")
    with CaptureQueriesContext(connection) as queries:
        tasks.rated.send(number=0)
    statements = [query["sql"] for query in queries if query["sql"].lstrip().startswith("SELECT")]
    assert max(map(most_rows_read, statements)) < 50

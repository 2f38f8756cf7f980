"""Behind PgBouncer in transaction mode: nothing is left in sessions that the next transaction of anybody may get."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.checks import run_checks
from django.core.management import CommandError
from django.db import OperationalError, connection, connections, transaction
from dramatiq.worker import Worker
from pytest_django import Settings

from project.database.checks import refuse_shared_sessions
from project.embedded.server import Server
from project.tasks.models import TaskRun
from project.tasks.running.database import own_connection
from project.tasks.running.isolation import lent_connection
from tests import tasks_for_tests
from tests.pgbouncer import SESSIONS

pytestmark = pytest.mark.django_db(transaction=True)

_LOOK = """
    SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('plan_cache_mode'),
           (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors)
"""


@pytest.fixture
def behind(pgbouncer: Server, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Let this process reach its database through PgBouncer only."""
    connection.close()
    port = int(pgbouncer.url.rpartition(":")[2])
    for name, value in {"HOST": "127.0.0.1", "PORT": str(port)}.items():
        monkeypatch.setitem(connection.settings_dict, name, value)
    yield pgbouncer
    connections["default"].close()
    connections["default"].close_pool()  # type: ignore[attr-defined]


@pytest.fixture
def known(behind: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the settings know it; connections are made anew."""
    settings.DATABASE_KEEPS_SESSIONS = False
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    del connections["default"]
    yield
    connections["default"].close()
    del connections["default"]


def _sessions() -> set[tuple[Any, ...]]:
    """Return what is set in each session of the pooler."""
    with ExitStack() as held:
        parameters = connection.get_connection_params()
        clients = [held.enter_context(psycopg.connect(**parameters)) for _ in range(SESSIONS)]
        return {client.execute(_LOOK).fetchone() or () for client in clients}


def test_runs_leave_nothing_behind_and_are_executed_once(known: None, worker: Worker) -> None:
    before = _sessions()
    messages: list[Any] = [tasks_for_tests.echo.send(text=str(number)) for number in range(20)]
    messages += [tasks_for_tests.parent.send() for _ in range(10)]
    messages += [tasks_for_tests.alone.send(number=number) for number in range(2)]
    messages += [tasks_for_tests.fail.send(times=1)]
    for message in messages:
        message.result(timeout=20)
    assert set(TaskRun.objects.exclude(task="tests.fail").values_list("attempts", flat=True)) <= {0, 1}
    assert _sessions() == before == {("0", "0", "auto", 0, 0)}


def test_rows_are_read_in_parts_without_a_cursor_of_the_server(known: None) -> None:
    TaskRun.objects.bulk_create(
        TaskRun(id=uuid4(), task="tests.add", queue="default", state=TaskRun.State.SUCCEEDED) for _ in range(300)
    )
    assert sum(1 for _ in TaskRun.objects.iterator(chunk_size=100)) == 300


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_tasks_statement_ends_at_its_time_limit_all_the_same(known: None, in_transaction: bool) -> None:
    def sleep() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(10)")

    with lent_connection(limit=timedelta(milliseconds=100)), pytest.raises(OperationalError, match="statement timeout"):
        transaction.atomic(sleep)() if in_transaction else sleep()


def test_the_machinery_waits_for_a_lock_only_so_long(known: None) -> None:
    with own_connection(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        assert cursor.fetchone() == ("2s",)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        assert cursor.fetchone() == ("0",)


def test_a_pooler_that_the_settings_do_not_know_of_is_refused(behind: Server) -> None:
    with pytest.raises(CommandError, match="DATABASE_POOLER=transaction"):
        refuse_shared_sessions()
    assert "database.E001" in {message.id for message in run_checks(tags=["database"], databases=["default"])}


def test_a_pooler_that_the_settings_know_of_is_welcome(known: None) -> None:
    refuse_shared_sessions()
    assert not run_checks(tags=["database"], databases=["default"])


def test_postgresql_itself_is_welcome(transactional_db: None) -> None:
    refuse_shared_sessions()
    assert not run_checks(tags=["database"], databases=["default"])

"""A task's database connection: what one run leaves, no other run meets."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from dramatiq.worker import Worker

from project.database.base import DatabaseWrapper
from project.tasks import task
from project.tasks.errors import TaskFailed
from project.tasks.models import TaskRun
from project.tasks.running.isolation import lent_connection

#: What a session looks like to a task, as far as a task can change it.
_LOOK = """
    SELECT current_setting('default_transaction_read_only'), current_setting('search_path'), current_user::text,
           current_setting('statement_timeout'), current_setting('work_mem'),
           (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
           (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
           (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_cursors),
           (SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_over')
"""
_SPOILS = [
    "SET default_transaction_read_only = on",
    "SET search_path = nowhere",
    "SET ROLE pg_monitor",
    "SET statement_timeout = 7000",
    "SELECT set_config('work_mem', '1MB', false)",
    "SELECT pg_advisory_lock(4711)",
    "CREATE TEMPORARY TABLE left_over (id int)",
    "LISTEN left_over",
    "DECLARE left_over CURSOR WITH HOLD FOR SELECT 1",
    "PREPARE left_over AS SELECT 1",
    "BEGIN",
    "BEGIN; SELECT 1/0",
]


@task("tests.look", time_limit=timedelta(seconds=20), max_retries=0)
def look() -> str:
    """Tell what this run's session looks like, and write."""
    TaskRun.objects.filter(task="nothing").update(error="written")
    with connection.cursor() as cursor:
        cursor.execute(_LOOK)
        return json.dumps(cursor.fetchone())


@task("tests.spoil", time_limit=timedelta(seconds=20), max_retries=0)
def spoil(*, sql: str) -> None:
    """Change the session and leave it like that, failing if the statement does."""
    with connection.cursor() as cursor:
        cursor.execute(sql)


@task("tests.spoil_autocommit", time_limit=timedelta(seconds=20), max_retries=0)
def spoil_autocommit(*, sql: str) -> None:
    """Turn autocommit off, do something, and leave it like that."""
    transaction.set_autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_no_run_meets_what_another_left_in_its_session(worker: Worker) -> None:
    before = look.send().result()
    after = {sql: _what_is_met_after(sql) for sql in _SPOILS}
    assert after == {sql: {before} for sql in _SPOILS}
    assert set(TaskRun.objects.values_list("attempts", flat=True)) == {1}


def test_autocommit_left_off_stops_no_other_run(worker: Worker) -> None:
    before = look.send().result()
    for message in spoil_autocommit.send_many([spoil_autocommit.call(sql="SELECT 1") for _ in range(4)]):
        message.result()
    assert look.send().result() == before


def test_what_a_task_forgot_to_commit_does_not_pass_for_done(worker: Worker) -> None:
    sql = "UPDATE tasks_taskrun SET error = 'changed' WHERE task = 'nothing' OR task = 'tests.spoil_autocommit'"
    with pytest.raises(TaskFailed, match="left a transaction open"):
        spoil_autocommit.send(sql=sql).result()


def test_a_run_records_its_outcome_though_it_left_its_own_row_locked(worker: Worker) -> None:
    message = spoil_autocommit.send(sql="SELECT 1 FROM tasks_taskrun FOR UPDATE")
    assert _ends(message.result)
    assert look.send().result()


def test_a_task_that_does_not_use_the_database_takes_no_connection(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was taken")

    connection.close()
    with monkeypatch.context() as patched:
        patched.setattr(DatabaseWrapper, "get_new_connection", refuse)
        with lent_connection(limit=timedelta(seconds=1)):
            pass


@task("tests.spoil_async", max_retries=0)
async def spoil_async(*, sql: str) -> None:
    """Change the session of coroutines and leave it like that."""
    await sync_to_async(spoil.signature.fn)(sql=sql)


@task("tests.look_async", max_retries=0)
async def look_async() -> str:
    """Tell what the session of coroutines looks like."""
    return str(await sync_to_async(look.signature.fn)())


def test_no_coroutine_meets_what_another_left_in_its_session(worker: Worker) -> None:
    before = look_async.send().result()
    for sql in ["SET search_path = nowhere", "SET default_transaction_read_only = on", "BEGIN"]:
        spoil_async.send(sql=sql).result()
        assert look_async.send().result() == before


def _what_is_met_after(sql: str) -> set[str]:
    for message in spoil.send_many([spoil.call(sql=sql) for _ in range(2)]):
        assert _ends(message.result)
    return {message.result() for message in look.send_many([look.call() for _ in range(4)])}


def _ends(result: Callable[[], object]) -> bool:
    try:
        result()
    except TaskFailed:
        return True
    return True

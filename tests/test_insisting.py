"""Keeping at it: what the database refuses is tried again, and changes no number of executions."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.db.utils import ProgrammingError
from dramatiq.worker import Worker

from project.database.access import this_connection
from project.tasks.models import TaskRun
from project.tasks.models import Worker as WorkerRow
from project.tasks.running import database
from project.tasks.running.claim_statement import ClaimedRow
from project.tasks.running.database import insist, stopping
from project.tasks.running.group_commit import GroupCommit
from project.tasks.running.this_worker import this_worker
from project.tasks.sending.message import Message
from project.tasks.sending.outbox import message_of
from tests import tasks_for_tests
from tests.eventually import eventually
from tests.locks import waiting_for_locks

pytestmark = pytest.mark.django_db(transaction=True)

#: read-only, lock timeout, serialization failure, deadlock, shutdown, disk full, out of memory, too many connections,
#: a table that a deployment has not made yet.
_PASSING = ["25006", "55P03", "40001", "40P01", "57P01", "53100", "53200", "53300", "42P01"]


def _raise(code: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'told to' USING ERRCODE = '{code}'; END $$")


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(database, "TRY_AGAIN_AFTER", timedelta(milliseconds=10))
    stopping.clear()
    yield
    stopping.clear()


@pytest.mark.parametrize("code", _PASSING)
def test_whatever_may_pass_is_tried_until_it_has_passed(code: str) -> None:
    tries: list[str] = []

    def operation() -> str:
        tries.append(code)
        if len(tries) < 3:
            _raise(code)
        return "done"

    assert insist(operation) == "done"


@pytest.mark.parametrize(("code", "error"), [("22P02", DataError), ("23503", IntegrityError)])
def test_an_error_of_the_data_is_final_when_it_comes_twice(code: str, error: type[Exception]) -> None:
    tries: list[str] = []

    def operation() -> None:
        tries.append(code)
        _raise(code)

    with pytest.raises(error):
        insist(operation)
    assert len(tries) == 2


def test_what_the_driver_refuses_to_send_is_final() -> None:
    def operation() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s", [object()])  # type: ignore[list-item]

    with pytest.raises(ProgrammingError):
        insist(operation)


def test_a_process_that_is_told_to_stop_insists_no_longer() -> None:
    stopping.set()
    with pytest.raises(Exception, match="told to"):
        insist(lambda: _raise("25006"))


def test_a_claim_that_waits_for_a_lock_fails_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_worker, "id", WorkerRow.objects.create(kind="worker", hostname="here", pid=1).id)
    run = TaskRun.objects.create(task="tests.add", queue="default", state=TaskRun.State.QUEUED)
    commit, claims = GroupCommit(), list[ClaimedRow | None]()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE tasks_taskrun")
        claiming = threading.Thread(target=lambda: claims.append(commit.claim(message_of(run))))
        claiming.start()
        assert eventually(waiting_for_locks)
        assert eventually(lambda: not waiting_for_locks())
        assert eventually(waiting_for_locks)
    claiming.join()
    commit.close()
    assert claims[0] is not None


def test_a_read_only_database_repeats_no_run(worker: Worker) -> None:
    messages: list[Message[Any]] = [tasks_for_tests.wait.send() for _ in range(2)]
    messages += [tasks_for_tests.echo.send(text=str(number)) for number in range(20)]
    assert eventually(lambda: TaskRun.objects.filter(progress=0.5).count() == 2)
    with _read_only() as is_refused:
        tasks_for_tests.gate.set()
        assert eventually(is_refused)
    for message in messages:
        message.result()
    assert set(TaskRun.objects.values_list("attempts", "deaths", "state")) == {(1, 0, "succeeded")}


@contextmanager
def _read_only() -> Iterator[Callable[[], bool]]:
    """Let every new session be read-only, and end the old ones but this; yield whether a write was refused."""
    name = this_connection().settings_dict["NAME"]
    connection.close()  # this thread's own is among those that end
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:

        def switch(mode: str) -> None:
            other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {mode}".encode())
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        def refused() -> int:
            row = other.execute(
                "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
            return int(row[0]) if row else 0

        before = refused()
        switch("on")
        try:
            yield lambda: refused() > before + 3
        finally:
            switch("off")

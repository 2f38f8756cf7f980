"""Statements with their values beside them are Django's in all that a caller sees."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from project.database.bound_statements import run_bound
from project.database.prepared_statements import array
from project.tasks.models import TaskRun
from project.values.ids import uuid7
from tests import tasks_for_tests as tasks


def test_rows_and_their_number_are_returned(db: None) -> None:
    sql = "SELECT number, %(text)s::text FROM generate_series(1, %(most)s::int) AS number"
    assert run_bound(sql, {"text": "ä", "most": 2}) == (2, [(1, "ä"), (2, "ä")])


@pytest.mark.parametrize("values", [[], ['a "quoted" one', r"back\slash", "{,}", " ", "", "NULL", "ä\n"]])
def test_an_array_is_read_as_it_was(db: None, values: list[str]) -> None:
    assert run_bound("SELECT %(values)s::text[]", {"values": array(values)})[1] == [(values,)]


def test_what_was_sent_goes_with_the_transaction(db: None) -> None:
    with transaction.atomic():
        tasks.add.send(1)
        transaction.set_rollback(True)
    assert not TaskRun.objects.exists()


def test_a_send_in_a_transaction_that_failed_is_refused_as_any_query(db: None) -> None:
    run_id = uuid7()
    tasks.add.using(run_id=run_id).send(1)
    with transaction.atomic():
        with pytest.raises(IntegrityError), transaction.atomic(savepoint=False):
            tasks.add.using(run_id=run_id).send(2)
        with pytest.raises(TransactionManagementError):
            tasks.add.send(3)
        transaction.set_rollback(True)
    assert TaskRun.objects.get().arguments == {"left": 1}


def test_who_counts_queries_sees_the_send(db: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        tasks.add.send(1)
    assert ["INSERT INTO tasks_taskrun" in query["sql"] for query in queries] == [True]


def test_who_wraps_statements_wraps_the_send(db: None) -> None:
    seen: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        tasks.add.send(1)
    assert ["INSERT INTO tasks_taskrun" in sql for sql in seen] == [True]


def test_an_event_loop_must_not_wait_for_it(db: None) -> None:
    async def ask() -> None:
        run_bound("SELECT 1", {})

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(ask())


def test_a_send_goes_on_where_a_caller_discarded_everything(transactional_db: None) -> None:
    for _ in range(3):
        tasks.add.send(1)
        with connection.cursor() as cursor:
            cursor.execute("DISCARD ALL")
    assert TaskRun.objects.count() == 3

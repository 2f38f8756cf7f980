"""Django's async ORM in async tasks: few connections, none of them as somebody else left it."""

import pytest
from dramatiq.worker import Worker

from project.tasks.errors import TaskFailed
from project.tasks.loop.database import BLOCKING_CALLS_AT_ONCE, DATABASE_CALLS_AT_ONCE
from project.tasks.running.database import THREADS_BESIDE_THE_WORK
from tests import tasks_for_tests, tasks_on_loop

#: Worker threads, and those beside the loop.
MOST_CONNECTIONS = 2 + 2 + THREADS_BESIDE_THE_WORK + DATABASE_CALLS_AT_ONCE


def test_a_hundred_at_once_use_few_connections(worker: Worker) -> None:
    before = tasks_on_loop.connections_now()  # this test's own, and what tests before it left in the pool
    messages = tasks_on_loop.use_database.send_many([tasks_on_loop.use_database.call() for _ in range(100)])
    assert max(message.result(timeout=20) for message in messages) <= before + MOST_CONNECTIONS


def test_more_may_read_from_cursors_of_the_server_than_there_are_connections_for(worker: Worker) -> None:
    tasks_for_tests.add.send(1).result()
    count = 3 * DATABASE_CALLS_AT_ONCE
    messages = tasks_on_loop.iterate.send_many([tasks_on_loop.iterate.call() for _ in range(count)])
    assert {message.result(timeout=20) for message in messages} == {count + 1}


def test_what_one_forgot_to_commit_does_not_pass_for_done(worker: Worker) -> None:
    for _ in range(DATABASE_CALLS_AT_ONCE + 1):
        with pytest.raises(TaskFailed, match="left a transaction open"):
            tasks_on_loop.leave_open.send().result()


def test_what_a_blocking_call_does_to_its_session_ends_with_the_call(worker: Worker) -> None:
    calls = [tasks_on_loop.blocking.call() for _ in range(2 * BLOCKING_CALLS_AT_ONCE)]
    found = {message.result() for message in tasks_on_loop.blocking.send_many(calls)}
    assert len(found) == 1
    assert "nowhere" not in found

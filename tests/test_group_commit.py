"""Claims and successes, written together."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from django.db import DataError, connection

from project.tasks.models import TaskRun, Worker
from project.tasks.running.claim_statement import ClaimedRow
from project.tasks.running.database import insist
from project.tasks.running.group_commit import GroupCommit
from project.tasks.running.this_worker import this_worker
from project.tasks.sending.outbox import message_of
from tests.eventually import eventually
from tests.runs import a_success

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def worker_id(monkeypatch: pytest.MonkeyPatch) -> UUID:
    """Let this process be a worker."""
    monkeypatch.setattr(this_worker, "id", Worker.objects.create(kind="worker", hostname="here", pid=1).id)
    return this_worker.id


@pytest.fixture
def commit() -> Iterator[GroupCommit]:
    commit = GroupCommit()
    yield commit
    commit.close()


def queued_run() -> TaskRun:
    return TaskRun.objects.create(task="tests.add", queue="default", state=TaskRun.State.QUEUED)


def claimed(commit: GroupCommit) -> ClaimedRow:
    claim = commit.claim(message_of(queued_run()))
    assert claim is not None
    return claim


def state_of(claim: ClaimedRow) -> str:
    return TaskRun.objects.get(id=claim.run_id).state


def test_a_run_is_claimed_once(commit: GroupCommit, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queued_run()
    assert commit.claim(message_of(run)) is not None
    monkeypatch.setattr(this_worker, "id", Worker.objects.create(kind="worker", hostname="other", pid=1).id)
    assert commit.claim(message_of(run)) is None


def test_a_claim_whose_reply_was_lost_can_be_repeated(commit: GroupCommit) -> None:
    run = queued_run()
    first, again = commit.claim(message_of(run)), commit.claim(message_of(run))
    assert first is not None
    assert again is not None
    assert (first.run_id, first.attempt) == (again.run_id, again.attempt) == (run.id, 1)


def test_a_message_of_an_earlier_attempt_claims_nothing(commit: GroupCommit) -> None:
    run = queued_run()
    late = message_of(run)
    TaskRun.objects.filter(id=run.id).update(attempts=1)
    assert commit.claim(late) is None


def test_a_process_whose_row_is_gone_claims_nothing(commit: GroupCommit) -> None:
    Worker.objects.all().delete()
    assert commit.claim(message_of(queued_run())) is None


def test_rows_are_found_by_their_keys_though_the_statement_was_planned_while_the_table_was_empty(
    commit: GroupCommit,
) -> None:
    claimed(commit)

    def plan() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, cardinality(parameter_types) FROM pg_prepared_statements")
            ((name, parameters),) = cursor.fetchall()
            cursor.execute(f"EXPLAIN EXECUTE {name} ({', '.join(['NULL'] * parameters)})")
            return "\n".join(line for (line,) in cursor.fetchall())

    scans = [line for line in insist(plan, connection=commit._writer.connection).splitlines() if "Scan" in line]
    assert {line.split(" on tasks_taskrun")[0].split("->")[1].strip() for line in scans if "tasks_taskrun" in line} == {
        "Index Scan using tasks_taskrun_pkey"
    }


def test_a_success_is_written_soon_by_itself(commit: GroupCommit) -> None:
    claim = claimed(commit)
    commit.succeed(a_success(claim, '{"total": 3}'))
    assert eventually(lambda: state_of(claim) == TaskRun.State.SUCCEEDED)
    assert TaskRun.objects.get(id=claim.run_id).result == {"total": 3}
    assert eventually(lambda: not commit.unwritten())
    commit.close()


def test_a_success_goes_with_the_next_claim(commit: GroupCommit) -> None:
    first = claimed(commit)
    commit.succeed(a_success(first, "1"))
    claimed(commit)
    assert state_of(first) == TaskRun.State.SUCCEEDED
    commit.close()


def test_a_result_that_cannot_be_stored_stops_no_other(commit: GroupCommit) -> None:
    refused: list[DataError] = []
    good, bad = claimed(commit), claimed(commit)
    with commit._writing:
        commit.succeed(a_success(bad, '"\\u0000"', refused=refused.append))
        commit.succeed(a_success(good, "1"))
    commit.close()
    assert (state_of(good), state_of(bad)) == (TaskRun.State.SUCCEEDED, TaskRun.State.RUNNING)
    assert len(refused) == 1


def test_a_run_that_cannot_be_claimed_stops_no_other(commit: GroupCommit) -> None:
    bad = queued_run()
    TaskRun.objects.filter(id=bad.id).update(attempts=2**31 - 1)
    bad.refresh_from_db()
    messages = [message_of(run) for run in (queued_run(), bad, queued_run())]
    with ThreadPoolExecutor() as threads:
        with commit._writing:
            claims = [threads.submit(commit.claim, message) for message in messages]
            assert eventually(lambda: len(commit._requests) == len(messages))
        errors = [claim.exception(timeout=10) for claim in claims]
    assert [type(error) for error in errors] == [type(None), DataError, type(None)]
    assert TaskRun.objects.filter(state="running").count() == 2


def test_a_worker_that_lost_its_claim_overwrites_nothing(commit: GroupCommit) -> None:
    claim = claimed(commit)
    TaskRun.objects.filter(id=claim.run_id).update(attempts=2, worker_id=uuid4())
    commit.succeed(a_success(claim, "1"))
    commit.close()
    assert state_of(claim) == TaskRun.State.RUNNING

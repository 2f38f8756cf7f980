"""A row that somebody has locked, in a transaction that takes its time, stops nothing but itself."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.tasks.models import BulkRetry, PausedQueue, TaskBatch, TaskRun, Worker
from project.tasks.policy import Policy
from project.tasks.repair.audit import Operator
from project.tasks.repair.bulk_steps import step_bulk_retries
from project.tasks.repair.pauses import pause_queue, resume_due_queues
from project.tasks.running.claim import claim_run
from project.tasks.running.claim_statement import claim_and_succeed, claim_and_succeed_unlocked
from project.tasks.running.group_commit import GroupCommit
from project.tasks.running.outcomes import record_success
from project.tasks.running.this_worker import this_worker
from project.tasks.sending.outbox import expire_once, message_of
from project.tasks.upkeep.pruning import prune
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.locks import elsewhere, in_a_thread, waiting_for_locks
from tests.runs import a_run, a_success

pytestmark = pytest.mark.django_db(transaction=True)

A_MINUTE_AGO = timezone.now() - timedelta(minutes=1)


@pytest.fixture(autouse=True)
def impatience(transactional_db: None) -> None:
    """Let what would wait for ever fail."""
    connection.cursor().execute("SET lock_timeout = '3s'")


@pytest.fixture
def commit(monkeypatch: pytest.MonkeyPatch) -> Iterator[GroupCommit]:
    monkeypatch.setattr(this_worker, "id", Worker.objects.create(kind="worker", hostname="here", pid=1).id)
    commit = GroupCommit()
    yield commit
    commit.close()


def states() -> list[str]:
    return sorted(TaskRun.objects.values_list("state", flat=True))


def lock(run_id: UUID) -> str:
    return f"SELECT FROM tasks_taskrun WHERE id = '{run_id}' FOR UPDATE"


def test_claims_and_successes_go_on_without_it(commit: GroupCommit) -> None:
    runs = [a_run("queued", attempts=0) for _ in range(4)]
    mine, other = (claim_and_succeed([message_of(run)], []).claimed[str(run.id)] for run in runs[:2])
    with elsewhere() as cursor:
        cursor.execute(lock(runs[0].id))
        cursor.execute(lock(runs[2].id))
        outcome = claim_and_succeed_unlocked([message_of(run) for run in runs[2:]], [a_success(mine), a_success(other)])
        assert outcome.succeeded == {other.run_id}
        assert list(outcome.claimed) == [str(runs[3].id)]


def test_a_success_on_it_is_written_when_it_is_free(commit: GroupCommit) -> None:
    claim, other = (commit.claim(message_of(a_run("queued", attempts=0))) for _ in range(2))
    assert claim is not None
    assert other is not None
    with elsewhere() as cursor:
        cursor.execute(lock(claim.run_id))
        commit.succeed(a_success(claim))
        commit.succeed(a_success(other))
        eventually(lambda: states() == ["running", "succeeded"], timeout=3)
        eventually(lambda: commit.unwritten() == {claim.run_id})
    eventually(lambda: states() == ["succeeded", "succeeded"], timeout=3)
    eventually(lambda: not commit.unwritten())


def test_a_step_of_a_chain_waits_for_it(commit: GroupCommit) -> None:
    step = {"id": "01900000-0000-7000-8000-000000000000", "task": "tests.double"}
    claim = claim_run(message_of(a_run("queued", attempts=0, next_steps=[step])), tasks.add.declaration)
    assert claim is not None
    with elsewhere() as cursor:
        cursor.execute(lock(claim.run_id))
        with in_a_thread(lambda: record_success(claim, '{"total": 1}', policy=Policy())):
            eventually(waiting_for_locks)
            cursor.connection.rollback()
    assert states() == ["queued", "succeeded"]


def test_a_worker_runs_everything_else(worker: DramatiqWorker, broker: ServiceBroker) -> None:
    with elsewhere() as cursor:
        run = a_run("queued", attempts=0)
        cursor.execute(lock(run.id))
        broker.enqueue(message_of(run))
        sent = tasks.add.send_many([tasks.add.call(number) for number in range(20)])
        assert [message.result(timeout=8).total for message in sent] == list(range(1, 21))
    # Not lost: the reconciliation finds that its message is gone.
    assert TaskRun.objects.get(id=run.id).state == TaskRun.State.QUEUED


def test_runs_expire_without_it() -> None:
    run, _ = (a_run("queued", expires_at=A_MINUTE_AGO) for _ in range(2))
    with elsewhere() as cursor:
        cursor.execute(lock(run.id))
        assert expire_once() == 1
    assert expire_once() == 1


def test_queues_are_resumed_without_it() -> None:
    for queue in ("one", "two"):
        pause_queue(queue, by=Operator("grace", "admin"), reason="x", resume_at=A_MINUTE_AGO)
    with elsewhere() as cursor:
        cursor.execute("SELECT FROM tasks_pausedqueue WHERE queue = 'one' FOR UPDATE")
        assert resume_due_queues() == 1
    assert PausedQueue.objects.get().queue == "one"


def test_runs_are_retried_in_bulk_without_it() -> None:
    locked_run, _ = a_run(), a_run()
    bulk = BulkRetry.objects.create(
        filter={"state": "dead"}, rate=100, max_error_share=1, who="grace", stepped_at=A_MINUTE_AGO
    )
    with elsewhere() as cursor:
        cursor.execute(lock(locked_run.id))
        assert step_bulk_retries() == 1
    bulk.refresh_from_db()
    assert (bulk.retried, bulk.refused) == (1, 1)
    assert states() == ["dead", "queued"]


def test_batches_are_pruned_without_it() -> None:
    long_ago = timezone.now() - timedelta(days=1000)
    batch, _ = (TaskBatch.objects.create(total=0, finished_at=long_ago) for _ in range(2))
    with elsewhere() as cursor:
        cursor.execute(f"SELECT FROM tasks_taskbatch WHERE id = '{batch.id}' FOR UPDATE")
        assert prune(succeeded_days=1, others_days=1).batches == 1

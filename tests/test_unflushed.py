"""What a crash of the database takes back, because nobody waited for its disk, is written again."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from django.db import connection

from project.database.access import this_connection
from project.tasks.models import TaskRun, Worker
from project.tasks.policy import Policy
from project.tasks.running.claim import Claim, claim_from
from project.tasks.running.database import insist, stopping
from project.tasks.running.group_commit import GroupCommit, group_commit
from project.tasks.running.outcomes import record_failure, record_success
from project.tasks.running.this_worker import this_worker
from project.tasks.running.unflushed import Unflushed
from project.tasks.sending.outbox import message_of
from tests.eventually import eventually
from tests.runs import a_claim, a_run, a_success


@pytest.fixture
def commit(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[GroupCommit]:
    """Where this process writes; nothing reaches the disk before it is told to."""
    monkeypatch.setattr(this_worker, "id", Worker.objects.create(kind="worker", hostname="here", pid=1).id)
    monkeypatch.setattr(Unflushed, "note", _keep_all)
    stopping.clear()
    yield group_commit
    group_commit.close()


def _keep_all(self: Unflushed, claims: list[object], successes: list[object], **_positions: float) -> None:
    _NOTE(self, claims, successes, inserted=1, flushed=0)  # type: ignore[arg-type]


_NOTE = Unflushed.note


def claimed(**columns: object) -> Claim:
    (request,) = group_commit.claim_all([message_of(a_run("queued", **{"attempts": 0, **columns}))])
    assert request.row is not None
    return claim_from(request.row)


def crash(claim: Claim, state: str, **columns: object) -> None:
    """Let a run be what it was before, and the connection be lost on which it was changed."""
    before = {"result": None, "finished_at": None, "progress": None, **columns}
    if state == "queued":
        before |= {"attempts": claim.attempt - 1, "worker_id": None, "started_at": None}
    TaskRun.objects.filter(id=claim.run_id).update(state=state, **before)
    lost = insist(lambda: this_connection().connection.info.backend_pid, connection=group_commit._writer.connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [lost])


def row_of(claim: Claim) -> tuple[str, int, UUID | None]:
    run = TaskRun.objects.get(id=claim.run_id)
    return run.state, run.attempts, run.worker_id


@pytest.mark.parametrize("before", ["running", "queued"])
def test_a_success_that_was_taken_back_is_written_again_before_anything_else(commit: GroupCommit, before: str) -> None:
    claim = claimed()
    commit.succeed(a_success(claim, "7"))
    commit.flush()
    crash(claim, before)
    claimed()
    assert row_of(claim) == ("succeeded", 1, claim.worker_id)
    assert TaskRun.objects.get(id=claim.run_id).result == 7


def test_a_claim_that_was_taken_back_while_its_run_goes_on_is_written_again(commit: GroupCommit) -> None:
    claim = claimed()
    crash(claim, "queued")
    claimed()
    assert row_of(claim) == ("running", 1, claim.worker_id)


def test_a_process_that_has_nothing_to_write_finds_out_by_itself(commit: GroupCommit) -> None:
    claim = claimed()
    crash(claim, "queued")
    assert eventually(lambda: row_of(claim) == ("running", 1, claim.worker_id))


def test_a_failure_is_recorded_though_its_claim_was_taken_back(commit: GroupCommit) -> None:
    claim = claimed()
    crash(claim, "queued")
    assert record_failure(claim, ValueError("broken"), policy=Policy(max_retries=0)) == "dead"


def test_a_chain_goes_on_though_the_claim_of_its_step_was_taken_back(commit: GroupCommit) -> None:
    claim = claimed(next_steps=[{"id": str(uuid4()), "task": "tests.double"}])
    crash(claim, "queued")
    record_success(claim, '{"total": 1}', policy=Policy())
    assert row_of(claim)[0] == "succeeded"
    assert TaskRun.objects.exclude(id=claim.run_id).count() == 1


def test_what_another_worker_has_taken_over_is_not_written_again(commit: GroupCommit) -> None:
    claim, other = claimed(), uuid4()
    crash(claim, "running", attempts=2, worker_id=other)
    claimed()
    assert row_of(claim) == ("running", 2, other)


def test_a_process_that_was_presumed_dead_claims_nothing_again(commit: GroupCommit) -> None:
    claim = claimed()
    crash(claim, "queued")
    Worker.objects.all().delete()
    commit.restore(claim)
    assert row_of(claim) == ("queued", 0, None)


def test_a_claim_that_was_given_up_is_not_written_again(commit: GroupCommit) -> None:
    claim = claimed()
    commit.give_up([claim])
    crash(claim, "queued")
    claimed()
    assert row_of(claim) == ("queued", 0, None)


def test_what_may_be_taken_back_counts_as_executed_here(commit: GroupCommit) -> None:
    claim = claimed()
    commit.succeed(a_success(claim))
    commit.flush()
    assert claim.run_id in commit.unwritten()


def test_the_disk_has_everything_when_a_process_ends(transactional_db: None) -> None:
    commit = GroupCommit()
    commit.succeed(a_success(a_claim()))
    commit.flush()
    assert commit.unwritten()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn()")
        written = cursor.fetchone()[0]
        commit.close()
        cursor.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", [written])
        assert cursor.fetchone()[0]
    assert not commit.unwritten()


def test_what_the_disk_has_is_kept_no_longer(db: None) -> None:
    unflushed, claims = Unflushed(), [a_claim(), a_claim()]
    unflushed.note(claims[:1], [], inserted=100, flushed=90)
    unflushed.note(claims[1:], [], inserted=200, flushed=150)
    assert unflushed.runs() == {claims[0].run_id, claims[1].run_id}
    unflushed.note([], [], inserted=300, flushed=200)
    assert unflushed.runs() == {claims[1].run_id}
    unflushed.note([], [], inserted=300, flushed=300)
    assert not unflushed.runs()


def test_an_idle_process_finds_out_that_the_disk_has_everything(transactional_db: None) -> None:
    commit = GroupCommit()
    commit.succeed(a_success(a_claim()))
    assert eventually(lambda: not commit.unwritten())
    commit.close()

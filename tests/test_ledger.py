"""Claims and successes, written together."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from django.db import DataError

from project.tasks.models import TaskRun, Worker
from project.tasks.running.claim import Claim
from project.tasks.running.group_commit import Ledger
from project.tasks.running.this_worker import this_worker
from project.tasks.running.writing import Success
from project.tasks.sending.outbox import message_of
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def worker_id(monkeypatch: pytest.MonkeyPatch) -> UUID:
    """Let this process be a worker."""
    monkeypatch.setattr(this_worker, "id", Worker.objects.create(kind="worker", hostname="here", pid=1).id)
    return this_worker.id


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger()
    yield ledger
    ledger.close()


def queued_run() -> TaskRun:
    return TaskRun.objects.create(task="tests.add", queue="default", state=TaskRun.State.QUEUED)


def claimed(ledger: Ledger) -> Claim:
    claim = ledger.claim(message_of(queued_run()))
    assert claim is not None
    return claim


def state_of(claim: Claim) -> str:
    return TaskRun.objects.get(id=claim.run_id).state


def must_not_be_refused(error: DataError) -> None:
    raise AssertionError(error)


def test_a_run_is_claimed_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queued_run()
    assert ledger.claim(message_of(run)) is not None
    monkeypatch.setattr(this_worker, "id", Worker.objects.create(kind="worker", hostname="other", pid=1).id)
    assert ledger.claim(message_of(run)) is None


def test_a_claim_whose_reply_was_lost_can_be_repeated(ledger: Ledger) -> None:
    run = queued_run()
    first, again = ledger.claim(message_of(run)), ledger.claim(message_of(run))
    assert first is not None
    assert again is not None
    assert (first.run_id, first.attempt) == (again.run_id, again.attempt) == (run.id, 1)


def test_a_message_of_an_earlier_attempt_claims_nothing(ledger: Ledger) -> None:
    run = queued_run()
    late = message_of(run)
    TaskRun.objects.filter(id=run.id).update(attempts=1)
    assert ledger.claim(late) is None


def test_a_process_that_was_buried_claims_nothing(ledger: Ledger) -> None:
    Worker.objects.all().delete()
    assert ledger.claim(message_of(queued_run())) is None


def test_a_success_is_written_soon_by_itself(ledger: Ledger) -> None:
    claim = claimed(ledger)
    ledger.succeed(Success(claim, '{"total": 3}', must_not_be_refused))
    assert eventually(lambda: state_of(claim) == TaskRun.State.SUCCEEDED)
    assert TaskRun.objects.get(id=claim.run_id).result == {"total": 3}
    assert eventually(lambda: not ledger.unwritten())
    ledger.close()


def test_a_success_goes_with_the_next_claim(ledger: Ledger) -> None:
    first = claimed(ledger)
    ledger.succeed(Success(first, "1", must_not_be_refused))
    claimed(ledger)
    assert state_of(first) == TaskRun.State.SUCCEEDED
    ledger.close()


def test_a_result_that_cannot_be_stored_stops_no_other(ledger: Ledger) -> None:
    refused: list[DataError] = []
    good, bad = claimed(ledger), claimed(ledger)
    with ledger._turn:
        ledger.succeed(Success(bad, '"\\u0000"', refused.append))
        ledger.succeed(Success(good, "1", must_not_be_refused))
    ledger.close()
    assert (state_of(good), state_of(bad)) == (TaskRun.State.SUCCEEDED, TaskRun.State.RUNNING)
    assert len(refused) == 1


def test_a_worker_that_lost_its_claim_overwrites_nothing(ledger: Ledger) -> None:
    claim = claimed(ledger)
    TaskRun.objects.filter(id=claim.run_id).update(attempts=2, worker_id=uuid4())
    ledger.succeed(Success(claim, "1", must_not_be_refused))
    ledger.close()
    assert state_of(claim) == TaskRun.State.RUNNING

"""Runs that are asked to wait: no failure, and yet not for ever."""

from datetime import timedelta

from django.db.models.functions import Now
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.desk.why import explain
from project.tasks.errors import Misfit, RetryLater
from project.tasks.models import TaskRun
from project.tasks.policy import Policy
from project.tasks.repair.audit import Operator
from project.tasks.repair.operations import retry
from project.tasks.running.outcomes import record_failure
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.runs import a_claim, a_run

LATER = RetryLater(after=timedelta(seconds=2), reason="the peer is busy")
HOUR = timedelta(hours=1)


def test_a_peer_that_says_later_again_and_again_uses_up_no_retries(worker: Worker) -> None:
    message = tasks.patiently.send(times=2)
    assert message.result(timeout=20) == "done"
    run = TaskRun.objects.get(id=message.run_id)
    assert (run.attempts, run.failures, run.postponements) == (3, 0, 2)
    assert not run.failed_attempts.exists()


def test_the_fast_lane_puts_off_as_well(worker: Worker, notes: list[str]) -> None:
    tasks.fast_and_patient.send(times=2)
    assert eventually(lambda: notes == ["attempt"] * 3)


def test_a_run_that_was_put_off_for_too_long_is_dead_and_says_so(transactional_db: None) -> None:
    policy = Policy(max_retries=5, max_postponement=HOUR)
    claim = a_claim(postponements=7, postponed_since=Now() - 2 * HOUR)
    assert record_failure(claim, LATER, policy=policy) == "dead"
    run = TaskRun.objects.get(id=claim.run_id)
    assert (run.failures, run.postponements) == (0, 8)
    assert run.error.startswith("the peer is busy\nIt has been put off since")


def test_a_failure_between_two_postponements_counts_as_one(transactional_db: None) -> None:
    claim = a_claim(postponements=7, postponed_since=Now() - HOUR)
    assert record_failure(claim, ValueError("x"), policy=Policy(max_retries=1)) == "retrying"
    run = TaskRun.objects.get(id=claim.run_id)
    assert (run.failures, run.postponements, run.failed_attempts.count()) == (1, 7, 1)


def test_a_roll_out_has_a_time_of_its_own(transactional_db: None) -> None:
    claim = a_claim(error_type="RetryLater", postponements=7, postponed_since=Now() - 5 * HOUR)
    assert record_failure(claim, Misfit("unknown"), policy=Policy()) == "retrying"


def test_the_next_attempt_is_timed_by_the_clock_of_the_database(transactional_db: None) -> None:
    claim = a_claim()
    record_failure(claim, LATER, policy=Policy())
    assert TaskRun.objects.filter(
        id=claim.run_id, run_after__gt=Now() + timedelta(seconds=1), run_after__lte=Now() + timedelta(seconds=2)
    ).exists()
    assert any("put off 1 times" in reason.text for reason in explain(TaskRun.objects.get(id=claim.run_id)))


def test_an_operators_retry_starts_to_count_anew(db: None, broker: ServiceBroker) -> None:
    run = retry(a_run(postponements=7, postponed_since=Now()).id, by=Operator("somebody", "command"))
    assert (run.postponements, run.postponed_since) == (0, None)


def test_a_run_that_is_retried_long_after_it_was_sent_may_start(worker: Worker) -> None:
    run = a_run(task="tests.brief", arguments={}, created_at=Now() - HOUR)
    retry(run.id, by=Operator("somebody", "command"))
    eventually(lambda: TaskRun.objects.get(id=run.id).state == TaskRun.State.SUCCEEDED)

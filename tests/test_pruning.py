"""History is forgotten when it is old enough, and nothing else is."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from project.registry import registry
from project.tasks.models import TaskAttempt, TaskBatch, TaskRun
from project.tasks.upkeep.pruning import PruneResult, prune
from tests.runs import a_run, an_old_run

pytestmark = pytest.mark.django_db


def prune_now(*, limit: int = 5000) -> PruneResult:
    return prune(succeeded_days=14, others_days=90, limit=limit)


def left() -> set[UUID]:
    return set(TaskRun.objects.values_list("id", flat=True))


def test_succeeded_runs_are_kept_for_14_days() -> None:
    an_old_run("succeeded", age=timedelta(days=14, minutes=1))
    young = an_old_run("succeeded", age=timedelta(days=13, hours=23))
    assert prune_now().runs == 1
    assert left() == {young.id}


@pytest.mark.parametrize("state", ["dead", "cancelled", "expired", "discarded"])
def test_runs_that_ended_otherwise_are_kept_for_90_days(state: str) -> None:
    an_old_run(state, age=timedelta(days=90, minutes=1))
    young = an_old_run(state, age=timedelta(days=89))
    assert prune_now().runs == 1
    assert left() == {young.id}


@pytest.mark.parametrize("state", TaskRun.UNFINISHED)
def test_unfinished_runs_stay_however_old(state: str) -> None:
    an_old_run(state, age=timedelta(days=1000))
    assert prune_now().runs == 0


def test_a_run_that_was_sent_long_ago_and_ended_lately_stays() -> None:
    run = an_old_run("succeeded", age=timedelta(days=100))
    TaskRun.objects.filter(id=run.id).update(finished_at=timezone.now())
    assert prune_now().runs == 0


def test_members_of_a_batch_stay_until_its_callback_is_sent() -> None:
    batch = TaskBatch.objects.create(total=1)
    an_old_run("succeeded", age=timedelta(days=100), batch=batch)
    assert prune_now() == PruneResult(runs=0, batches=0)
    TaskBatch.objects.update(finished_at=timezone.now() - timedelta(days=99))
    assert prune_now() == PruneResult(runs=1, batches=1)


def test_attempts_go_with_their_runs() -> None:
    run = an_old_run("dead", age=timedelta(days=100))
    kept = a_run()
    for each in (run, kept):
        TaskAttempt.objects.create(run=each, number=1, error_type="ValueError")
    prune_now()
    assert [attempt.run_id for attempt in TaskAttempt.objects.all()] == [kept.id]


def test_many_runs_go_in_many_short_transactions() -> None:
    for _ in range(10):
        an_old_run("succeeded", age=timedelta(days=20))
    a_run("succeeded")
    assert prune_now(limit=3).runs == 10
    assert TaskRun.objects.count() == 1


def test_a_run_whose_id_its_sender_made_up_is_pruned_too() -> None:
    run = an_old_run("succeeded", age=timedelta(days=20))
    TaskRun.objects.filter(id=run.id).update(id=UUID("f0000000-0000-4000-8000-000000000000"))
    assert prune_now().runs == 1


def test_the_task_keeps_what_the_settings_say(settings: Any) -> None:
    settings.HISTORY_DAYS_SUCCEEDED = 2
    an_old_run("succeeded", age=timedelta(days=3))
    an_old_run("dead", age=timedelta(days=3))
    assert registry.prune() == PruneResult(runs=1, batches=0)

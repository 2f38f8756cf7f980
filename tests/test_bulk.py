"""Retrying in bulk: at a pace, each run once, and not on and on when they fail again."""

from datetime import timedelta

import pytest
from django.utils import timezone
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks.errors import RunStateError
from project.tasks.models import BulkRetry, OperatorAction, TaskRun
from project.tasks.repair.audit import Operator
from project.tasks.repair.bulk import bulk_progress, start_bulk_retry, stop_bulk_retry
from project.tasks.repair.bulk_steps import step_bulk_retries
from project.tasks.repair.filters import RunFilter
from tests.eventually import eventually
from tests.runs import a_run

pytestmark = pytest.mark.django_db

GRACE = Operator("grace", "admin")
ALL = RunFilter()


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


def start(which: RunFilter = ALL, *, rate: float = 100, max_error_share: float = 0.5) -> BulkRetry:
    return start_bulk_retry(which, rate=rate, max_error_share=max_error_share, by=GRACE, reason="fixed")


def pass_time(bulk: BulkRetry, seconds: float) -> None:
    BulkRetry.objects.filter(id=bulk.id).update(stepped_at=timezone.now() - timedelta(seconds=seconds))


def step(bulk: BulkRetry, *, seconds: float = 1.0) -> int:
    pass_time(bulk, seconds)
    return step_bulk_retries()


def states() -> list[str]:
    return list(TaskRun.objects.order_by("id").values_list("state", flat=True))


def test_it_retries_what_matches_and_is_done() -> None:
    for task in ("tests.add", "tests.add", "tests.double"):
        a_run(task=task)
    bulk = start(RunFilter(task="tests.add"))
    assert [step(bulk), step(bulk)] == [2, 0]
    bulk.refresh_from_db()
    assert (bulk.outcome, bulk.retried) == ("done", 2)
    assert sorted(states()) == ["dead", "queued", "queued"]


def test_it_keeps_its_pace() -> None:
    for _ in range(30):
        a_run()
    bulk = start(rate=10)
    assert [step(bulk, seconds=0.55), step(bulk, seconds=1), step(bulk, seconds=0.05)] == [5, 10, 0]
    assert step(bulk, seconds=3600) == 15


def test_a_slow_pace_is_less_than_one_in_a_step() -> None:
    for _ in range(3):
        a_run()
    bulk = start(rate=0.3)
    assert [step(bulk, seconds=3), step(bulk, seconds=3.5), step(bulk, seconds=100)] == [0, 1, 1]


def test_time_that_one_step_did_not_use_is_used_by_the_next() -> None:
    for _ in range(30):
        a_run()
    bulk = start(rate=1.9)
    retried = step(bulk, seconds=1)
    bulk.refresh_from_db()
    left = (timezone.now() - bulk.stepped_at).total_seconds()
    assert (retried, 0.4 < left < 0.7) == (1, True)


def test_it_stops_when_too_many_fail_again() -> None:
    for _ in range(30):
        a_run()
    bulk = start(rate=10, max_error_share=0.5)
    step(bulk)
    TaskRun.objects.filter(bulk_id=bulk.id).update(state="dead", finished_at=timezone.now())
    assert step(bulk) == 0
    bulk.refresh_from_db()
    assert (bulk.outcome, bulk.retried) == ("failing", 10)
    assert bulk_progress(bulk.id).error_share == 1


def test_it_goes_on_when_few_fail_again() -> None:
    for _ in range(30):
        a_run()
    bulk = start(rate=10, max_error_share=0.5)
    step(bulk)
    retried = list(TaskRun.objects.filter(bulk_id=bulk.id))
    TaskRun.objects.filter(id__in=[run.id for run in retried[:5]]).update(state="dead", finished_at=timezone.now())
    TaskRun.objects.filter(id__in=[run.id for run in retried[5:]]).update(state="succeeded")
    assert step(bulk) == 10


def test_an_error_share_of_zero_stops_at_the_first_failure() -> None:
    for _ in range(5):
        a_run()
    bulk = start(rate=1, max_error_share=0)
    step(bulk)
    TaskRun.objects.filter(bulk_id=bulk.id).update(state="retrying")
    assert step(bulk) == 0
    assert BulkRetry.objects.get().outcome == "failing"


def test_what_dies_after_the_start_is_left_alone() -> None:
    bulk = start()
    a_run(finished_at=timezone.now() + timedelta(seconds=1))
    assert step(bulk) == 0
    assert states() == ["dead"]


def test_what_cannot_be_retried_is_counted_and_passed_over() -> None:
    a_run(task="tests.gone")
    a_run(arguments={"left": "one"})
    a_run()
    bulk = start()
    step(bulk)
    bulk.refresh_from_db()
    assert (bulk.retried, bulk.refused) == (1, 2)
    assert sorted(states()) == ["dead", "dead", "queued"]


def test_an_operator_stops_it() -> None:
    a_run()
    bulk = start()
    stop_bulk_retry(bulk.id, by=GRACE, reason="wrong filter")
    assert step(bulk) == 0
    with pytest.raises(RunStateError, match="stopped by an operator"):
        stop_bulk_retry(bulk.id, by=GRACE)


def test_start_and_stop_are_each_recorded_once() -> None:
    for _ in range(5):
        a_run()
    bulk = start(RunFilter(task="tests.add"))
    step(bulk)
    stop_bulk_retry(bulk.id, by=GRACE)
    first, last = OperatorAction.objects.order_by("id")
    assert (first.who, first.action, first.target, first.reason) == (
        "grace",
        "retry all",
        "state=dead task=tests.add",
        "fixed",
    )
    assert (last.action, last.after) == ("stop bulk retry", {"retried": 5})


@pytest.mark.parametrize(("rate", "share"), [(0, 0.5), (-1, 0.5), (5000, 0.5), (1, 1.5), (1, -0.1), (float("nan"), 0)])
def test_numbers_that_make_no_sense_are_refused(rate: float, share: float) -> None:
    with pytest.raises(ValueError, match="rate is above 0"):
        start(rate=rate, max_error_share=share)


@pytest.mark.parametrize("state", ["succeeded", "running"])
def test_only_what_has_ended_without_a_result_is_retried(state: str) -> None:
    with pytest.raises(ValueError, match="cannot be retried"):
        start(RunFilter(state=state))


def test_a_living_worker_does_it_by_itself(worker: Worker) -> None:
    for _ in range(20):
        a_run()
    bulk = start(rate=1000)
    eventually(lambda: bulk_progress(bulk.id).succeeded == 20)
    eventually(lambda: BulkRetry.objects.get().outcome == "done")

"""Retrying many dead runs at a chosen pace, and stopping when too many of them fail again.

A row says what is to be done; the housekeeping of any one living process does the next bit of it twice a second. So
nothing has to stay open, and it goes on where it was when processes die.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from project.database.clock import database_now
from project.database.one_by_one import one_by_one
from project.tasks.errors import RunStateError
from project.tasks.models import BulkRetry, TaskRun
from project.tasks.repair.audit import Operator, record
from project.tasks.repair.filters import RunFilter
from project.tasks.repair.operations import RETRYABLE, try_again
from project.values.text import exception_text

log = structlog.get_logger(__name__)

#: Runs that one step retries at most, so that its transaction stays short.
MOST_IN_A_STEP = 500
#: Every process takes steps; together they take one in this time.
SHORTEST_STEP = timedelta(milliseconds=400)
#: After a pause of all processes, the time that was missed counts only this far.
LONGEST_STEP = timedelta(seconds=2)
#: The error share is judged as if at least so many outcomes were known, so that one failure is not 100 %.
FEWEST_OUTCOMES = 10


@dataclass(frozen=True, kw_only=True)
class BulkProgress:
    """What became of the runs that a bulk retry has retried.

    Args:
        succeeded: Runs that succeeded.
        failed: Runs whose new attempt raised, or whose worker died: dead again, or waiting for another attempt.
        others: Runs that are still waiting or running, or were cancelled.
    """

    succeeded: int
    failed: int
    others: int

    @property
    def error_share(self) -> float:
        """How large a share of the known outcomes are failures, 0 to 1."""
        return self.failed / max(self.succeeded + self.failed, 1)

    def is_too_bad(self, max_error_share: float) -> bool:
        """Tell whether more have failed again than that share allows."""
        return self.failed > max_error_share * max(self.succeeded + self.failed, FEWEST_OUTCOMES)


def what_to_retry(which: RunFilter) -> RunFilter:
    """Return which runs a bulk retry of this filter takes; given its own answer, it returns the same.

    Dead ones, unless the filter names another state, and none that ends from now on.

    Raises:
        ValueError: If runs of that state cannot be retried.
    """
    state = which.state or TaskRun.State.DEAD.value
    if state not in RETRYABLE:
        raise ValueError(f"Runs that are {state} cannot be retried: choose {', '.join(RETRYABLE)}.")
    now = database_now()
    return which.model_copy(update={"state": state, "ended_before": min(which.ended_before or now, now)})


def start_bulk_retry(
    which: RunFilter, *, rate: float, max_error_share: float, by: Operator, reason: str = ""
) -> BulkRetry:
    """Have all runs retried that match now and have ended without a result, the oldest first.

    Args:
        which: The runs, as `what_to_retry` reads it.
        rate: Runs a second.
        max_error_share: 0 to 1; stop once a larger share of what was retried has failed again.
        by: Who wants it.
        reason: Why.

    Raises:
        ValueError: If runs of that state cannot be retried, or a number is out of range.
    """
    which = what_to_retry(which)
    if not 0 < rate <= 2 * MOST_IN_A_STEP or not 0 <= max_error_share <= 1:
        raise ValueError(f"The rate is above 0 and at most {2 * MOST_IN_A_STEP} a second, the error share 0 to 1.")
    with transaction.atomic():
        bulk = BulkRetry.objects.create(
            filter=which.stored(), rate=rate, max_error_share=max_error_share, who=by.name, reason=reason
        )
        after = {"bulk_id": str(bulk.id), "rate": rate, "max_error_share": max_error_share}
        shown = which.model_copy(update={"ended_before": None})
        record("retry all", target=str(shown), by=by, reason=reason, after=after)
    return bulk


def stop_bulk_retry(bulk_id: UUID, *, by: Operator, reason: str = "") -> None:
    """Retry no more runs; those that were retried go on.

    Raises:
        BulkRetry.DoesNotExist: If there is no such bulk retry.
        RunStateError: If it has ended.
    """
    with transaction.atomic():
        bulk = BulkRetry.objects.select_for_update().annotate(now=Now()).get(id=bulk_id)
        if bulk.finished_at is not None:
            raise RunStateError(f"The bulk retry has ended: {bulk.get_outcome_display()}.")
        _finish(bulk, BulkRetry.Outcome.STOPPED, now=bulk.now)
        bulk.save()
        record("stop bulk retry", target=str(bulk_id), by=by, reason=reason, after={"retried": bulk.retried})


def bulk_progress(bulk_id: UUID) -> BulkProgress:
    """Count what became of the retried runs."""
    failed = Q(state=TaskRun.State.DEAD) | Q(state=TaskRun.State.RETRYING)
    counts = TaskRun.objects.filter(bulk_id=bulk_id).aggregate(
        succeeded=Count("id", filter=Q(state=TaskRun.State.SUCCEEDED)),
        failed=Count("id", filter=failed),
        others=Count("id", filter=~failed & ~Q(state=TaskRun.State.SUCCEEDED)),
    )
    return BulkProgress(**counts)


def step_bulk_retries() -> int:
    """Do the next bit of each open bulk retry; return how many runs were retried.

    Raises:
        ExceptionGroup: If some bulk retries could not go on; the others have.
    """
    due = BulkRetry.objects.filter(finished_at=None, stepped_at__lte=Now() - SHORTEST_STEP)
    return one_by_one("bulk retry", list(due.values_list("id", flat=True)), _step)


def _step(bulk_id: UUID) -> int:
    with transaction.atomic():
        unfinished = BulkRetry.objects.filter(id=bulk_id, finished_at=None).annotate(now=Now())
        bulk = unfinished.select_for_update(skip_locked=True).first()
        if bulk is None:
            return 0
        retried = _go_on(bulk, now=bulk.now)
        bulk.save()
    return retried


def _go_on(bulk: BulkRetry, *, now: datetime) -> int:
    if bulk_progress(bulk.id).is_too_bad(bulk.max_error_share):
        _finish(bulk, BulkRetry.Outcome.FAILING, now=now)
        return 0
    share = _share(bulk, now)
    if share == 0:
        return 0
    ids = list(_left(bulk).values_list("id", flat=True)[:share])
    if not ids:
        _finish(bulk, BulkRetry.Outcome.DONE, now=now)
        return 0
    retried = _retry_each(ids, bulk, now=now)
    bulk.retried += retried
    bulk.refused += len(ids) - retried
    bulk.after_id = ids[-1]
    # Only what was used is gone, so that the pace is kept whatever the steps are.
    bulk.stepped_at = max(bulk.stepped_at, now - _window(bulk)) + timedelta(seconds=share / bulk.rate)
    return retried


def _window(bulk: BulkRetry) -> timedelta:
    """Say how far back time that was not used counts: far enough for one run."""
    return max(LONGEST_STEP, timedelta(seconds=1 / bulk.rate))


def _share(bulk: BulkRetry, now: datetime) -> int:
    """Say how many runs the time since the last step is good for."""
    passed = min(now - bulk.stepped_at, _window(bulk))
    # A timedelta is cut to microseconds: a whole run must not become 0.9999999.
    return min(int(bulk.rate * passed.total_seconds() + 0.001), MOST_IN_A_STEP)


def _left(bulk: BulkRetry) -> QuerySet[TaskRun]:
    """Return what is still to be retried; what has died since the question was asked is not."""
    which = RunFilter(**bulk.filter)
    which = which.model_copy(update={"ended_before": which.ended_before or bulk.created_at})
    left = which.matching().order_by("id")
    return left.filter(id__gt=bulk.after_id) if bulk.after_id else left


def _retry_each(ids: Sequence[UUID], bulk: BulkRetry, *, now: datetime) -> int:
    """Retry runs, each by itself; return how many could be."""
    state = RunFilter(**bulk.filter).state
    runs = TaskRun.objects.select_for_update(skip_locked=True, of=("self",)).filter(id__in=ids, state=state)
    found = {run.id: run for run in runs.order_by("id")}
    for run_id in [run_id for run_id in ids if run_id not in found]:
        _refuse(run_id, bulk, reason="somebody else is changing it: retry it by itself")
    return sum(_retried(run, bulk, now=now) for run in found.values())


def _retried(run: TaskRun, bulk: BulkRetry, *, now: datetime) -> bool:
    run.bulk_id = bulk.id
    try:
        try_again(run, arguments=run.arguments, now=now)
    except (OperationalError, InterfaceError):
        raise  # the database's trouble, not the run's
    except Exception as error:
        # Whatever it is, from arguments that do not fit to a defect in the task's own types.
        _refuse(run.id, bulk, reason=exception_text(error))
        return False
    return True


def _refuse(run_id: UUID, bulk: BulkRetry, *, reason: str) -> None:
    log.warning("run_not_retried", run_id=str(run_id), bulk_id=str(bulk.id), reason=reason)


def _finish(bulk: BulkRetry, outcome: BulkRetry.Outcome, *, now: datetime) -> None:
    bulk.outcome, bulk.finished_at = outcome, now
    log.info("bulk_retry_ended", bulk_id=str(bulk.id), outcome=str(outcome), retried=bulk.retried)

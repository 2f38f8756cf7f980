"""Retrying many dead runs at a chosen pace, and stopping when too many of them fail again.

A row says what is to be done, and `bulk_steps` does it: so nothing has to stay open, and a bulk retry goes on where it
was when processes die.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Count, Q

from project.database.clock import database_now
from project.tasks.errors import RunStateError
from project.tasks.models import BulkRetry, TaskRun
from project.tasks.repair.audit import Operator, record
from project.tasks.repair.filters import RunFilter
from project.tasks.repair.operations import RETRYABLE

log = structlog.get_logger(__name__)

#: Runs that one step retries at most, so that its transaction stays short; there are two steps a second.
MOST_IN_A_STEP = 500
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
        bulk = _locked_unfinished(bulk_id)
        finish(bulk, BulkRetry.Outcome.STOPPED, now=database_now())
        bulk.save()
        record("stop bulk retry", target=str(bulk_id), by=by, reason=reason, after={"retried": bulk.retried})


def _locked_unfinished(bulk_id: UUID) -> BulkRetry:
    bulk = BulkRetry.objects.select_for_update().get(id=bulk_id)
    if bulk.finished_at is not None:
        raise RunStateError(f"The bulk retry has ended: {bulk.get_outcome_display()}.")
    return bulk


def bulk_progress(bulk_id: UUID) -> BulkProgress:
    """Count what became of the retried runs."""
    succeeded = Q(state=TaskRun.State.SUCCEEDED)
    failed = Q(state__in=(TaskRun.State.DEAD, TaskRun.State.RETRYING))
    counts = TaskRun.objects.filter(bulk_id=bulk_id).aggregate(
        succeeded=Count("id", filter=succeeded),
        failed=Count("id", filter=failed),
        others=Count("id", filter=~failed & ~succeeded),
    )
    return BulkProgress(**counts)


def finish(bulk: BulkRetry, outcome: BulkRetry.Outcome, *, now: datetime) -> None:
    """Say that a bulk retry has ended; the caller has locked its row, and saves it.

    Args:
        bulk: The bulk retry; locked.
        outcome: How it ended.
        now: The database's time.
    """
    bulk.outcome, bulk.finished_at = outcome, now
    log.info("bulk_retry_ended", bulk_id=str(bulk.id), outcome=str(outcome), retried=bulk.retried)

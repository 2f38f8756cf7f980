"""The steps of bulk retries: twice a second some living process retries the next few runs of each.

What a bulk retry is and how one is started and stopped is in `bulk`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from project.database.one_by_one import one_by_one
from project.tasks.models import BulkRetry, TaskRun
from project.tasks.repair.bulk import MOST_IN_A_STEP, bulk_progress, finish
from project.tasks.repair.filters import RunFilter
from project.tasks.repair.operations import try_again
from project.values.text import exception_text

log = structlog.get_logger(__name__)

#: Every process may take steps; together they take one in this time, so that the pace is even.
SHORTEST_STEP = timedelta(milliseconds=400)
#: After a pause of all processes, the time that was missed counts only this far: no burst follows.
LONGEST_STEP = timedelta(seconds=2)


def step_bulk_retries() -> int:
    """Take the next step of each bulk retry that has not ended; return how many runs were retried.

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
    """Retry as many runs as the pace allows, or end the bulk retry; return how many were retried."""
    most = _allowed(bulk, now=now)
    if bulk_progress(bulk.id).is_too_bad(bulk.max_error_share):
        finish(bulk, BulkRetry.Outcome.FAILING, now=now)
        return 0
    if most == 0:
        return 0
    ids = list(_left(bulk).values_list("id", flat=True)[:most])
    if not ids:
        finish(bulk, BulkRetry.Outcome.DONE, now=now)
        return 0
    retried = _retry_each(ids, bulk, now=now)
    _note_progress(bulk, retried=retried, refused=len(ids) - retried, last=ids[-1])
    # Only the time that was used is gone, so that the pace is kept however long the steps are.
    bulk.stepped_at = max(bulk.stepped_at, now - _longest_step(bulk)) + timedelta(seconds=most / bulk.rate)
    return retried


def _allowed(bulk: BulkRetry, *, now: datetime) -> int:
    """Return how many runs the pace allows for the time since the last step."""
    passed = min(now - bulk.stepped_at, _longest_step(bulk))
    # A timedelta is cut to microseconds: a whole run must not become 0.9999999.
    return min(int(bulk.rate * passed.total_seconds() + 0.001), MOST_IN_A_STEP)


def _longest_step(bulk: BulkRetry) -> timedelta:
    """Return how far back time counts that was not used: far enough for one run."""
    return max(LONGEST_STEP, timedelta(seconds=1 / bulk.rate))


def _left(bulk: BulkRetry) -> QuerySet[TaskRun]:
    """Return the runs that are still to be retried, without those that ended after the bulk retry was started."""
    which = RunFilter(**bulk.filter)
    which = which.model_copy(update={"ended_before": which.ended_before or bulk.created_at})
    left = which.matching().order_by("id")
    return left.filter(id__gt=bulk.after_id) if bulk.after_id else left


def _note_progress(bulk: BulkRetry, *, retried: int, refused: int, last: UUID) -> None:
    bulk.retried += retried
    bulk.refused += refused
    bulk.after_id = last


def _retry_each(ids: Sequence[UUID], bulk: BulkRetry, *, now: datetime) -> int:
    """Retry runs, each by itself; return how many could be."""
    state = RunFilter(**bulk.filter).state
    runs = TaskRun.objects.select_for_update(skip_locked=True, of=("self",)).filter(id__in=ids, state=state)
    found = {run.id: run for run in runs.order_by("id")}
    for run_id in [run_id for run_id in ids if run_id not in found]:
        _log_refused(run_id, bulk, reason="somebody else is changing it: retry it by itself")
    return sum(_retry(run, bulk, now=now) for run in found.values())


def _retry(run: TaskRun, bulk: BulkRetry, *, now: datetime) -> bool:
    """Retry one run; tell whether it could be."""
    run.bulk_id = bulk.id
    try:
        try_again(run, arguments=run.arguments, now=now)
    except (OperationalError, InterfaceError):
        raise  # the database's trouble, not the run's
    except Exception as error:
        # Whatever it is, from arguments that do not fit to a defect in the task's own types.
        _log_refused(run.id, bulk, reason=exception_text(error))
        return False
    return True


def _log_refused(run_id: UUID, bulk: BulkRetry, *, reason: str) -> None:
    log.warning("run_not_retried", run_id=str(run_id), bulk_id=str(bulk.id), reason=reason)

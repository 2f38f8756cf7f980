"""Frees the runs of processes that are dead, or presumed to be, so that other workers run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Exists, QuerySet
from django.db.models.functions import Now

from project.tasks.models import TaskAttempt, TaskRun, Worker
from project.tasks.policy import MAX_DEATHS
from project.tasks.running.started_runs import forget, runs_begun_by
from project.tasks.running.this_worker import this_worker
from project.tasks.sending.looks import look_soon

log = structlog.get_logger(__name__)

#: How long after its last heartbeat a process is presumed dead: four heartbeats may fail, and no statement of the
#: machinery waits nearly as long for a lock.
PRESUMED_DEAD_AFTER = timedelta(seconds=10)
#: How often a process stores its heartbeat: often enough to lose some, and next to nothing for the database.
HEARTBEAT_EVERY = timedelta(seconds=2)
#: A longer pause between two stored heartbeats is a gap: this process may have missed those of others as well.
LONGEST_GAP = 2 * HEARTBEAT_EVERY
#: After a gap everybody is given so long for another heartbeat: longer than it takes to reach the database anew.
LISTEN_FOR = 3 * HEARTBEAT_EVERY
#: Runs freed in one transaction, so that it stays short; the rest follows with the next call.
_MOST_AT_ONCE = 5000
#: What `_free` changes.
_FREED_COLUMNS = ("attempts", "deaths", "error_type", "error", "state", "run_after", "finished_at")


def remove_silent_workers() -> int:
    """Presume processes dead that sent no heartbeat for long, free their runs and delete them; return how many runs.

    Only a process whose own heartbeats were stored without a gap may do that: while tables are locked, or the
    database is away or stopped, everybody is silent. All of it is compared in the statement that locks the silent
    ones, on the database's clock as it was when the statement came in.
    """
    with transaction.atomic():
        silent = Worker.objects.filter(_has_listened(), beat_at__lt=Now() - PRESUMED_DEAD_AFTER)
        dead = list(silent.select_for_update(skip_locked=True))
        freed = remove_workers(dead)
    for worker in dead:
        log.warning("worker_presumed_dead", worker=str(worker), last_beat=worker.beat_at.isoformat())
    return freed + free_abandoned_runs()


def remove_workers(workers: Iterable[Worker]) -> int:
    """Free the runs that dead processes had claimed, and delete the processes; the runs say which ones they were.

    Args:
        workers: Certainly dead, or presumed to be.

    Returns:
        How many runs.
    """
    ids = [worker.id for worker in workers]
    with transaction.atomic():
        freed = _free_runs_of_dead(TaskRun.objects.filter(worker_id__in=ids))
        Worker.objects.filter(id__in=ids).delete()
        for worker_id in ids:
            transaction.on_commit(partial(forget, worker_id))
    return freed


def free_abandoned_runs() -> int:
    """Free the runs of processes that have no row any more; return how many, 0 if this process has not listened."""
    return _free_runs_of_dead(
        TaskRun.objects.filter(_has_listened()).exclude(worker_id__in=Worker.objects.values("id"))
    )


def _has_listened() -> Exists:
    """Say, as a condition, whether this process's heartbeats were stored for so long that those of others could be."""
    own = Worker.objects.filter(id=this_worker.id)
    return Exists(own.filter(beat_at__gt=Now() - LONGEST_GAP, listening_since__lt=Now() - LISTEN_FOR))


def free_runs(runs: QuerySet[TaskRun]) -> int:
    """Take running runs from a worker that no longer executes them; return how many.

    Each is published again, or is dead once `MAX_DEATHS` workers have died while they ran it.
    """
    return _free_runs(runs, had_begun=lambda _run: True)


def free_runs_of(worker_id: UUID) -> int:
    """Free the runs that a process had claimed which is certainly dead; return how many."""
    # Its row may be gone already, and what it had claimed not yet freed.
    freed = remove_workers(Worker.objects.filter(id=worker_id))
    return freed + _free_runs_of_dead(TaskRun.objects.filter(worker_id=worker_id))


def _free_runs_of_dead(runs: QuerySet[TaskRun]) -> int:
    """Free the runs of dead processes; those that had not begun are queued again as if nobody had claimed them."""
    begun: dict[UUID, set[UUID] | None] = {}

    def had_begun(run: TaskRun) -> bool:
        worker_id = run.worker_id or UUID(int=0)
        if worker_id not in begun:
            begun[worker_id] = runs_begun_by(worker_id)
            transaction.on_commit(partial(forget, worker_id))
        of_worker = begun[worker_id]
        return of_worker is None or run.id in of_worker

    return _free_runs(runs, had_begun=had_begun)


def _free_runs(runs: QuerySet[TaskRun], *, had_begun: Callable[[TaskRun], bool]) -> int:
    with transaction.atomic():
        locked = runs.select_for_update(skip_locked=True).filter(state=TaskRun.State.RUNNING)[:_MOST_AT_ONCE]
        freed = list(locked)
        killed = [run for run in freed if had_begun(run)]
        _unclaim([run for run in freed if not had_begun(run)])
        for run in killed:
            _free(run)
        TaskRun.objects.bulk_update(freed, _FREED_COLUMNS, batch_size=500)
        TaskAttempt.objects.bulk_create(_deaths_of(killed), ignore_conflicts=True)
        look_soon({run.limit_key for run in freed if run.limit_key})
    return len(freed)


def _unclaim(runs: Sequence[TaskRun]) -> None:
    """Make runs as they were before they were claimed; whether they have a message still, nobody knows."""
    for run in runs:
        run.attempts -= 1
        run.state = TaskRun.State.CANCELLED if run.cancel_requested else TaskRun.State.RETRYING
        run.run_after = Now()
        run.finished_at = Now() if run.cancel_requested else None
    if runs:
        log.warning("runs_unclaimed", runs=len(runs), reason="they had not begun when their worker died")


def _free(run: TaskRun) -> None:
    run.deaths += 1
    run.error_type = "WorkerDied"
    run.error = f"Its worker died while it ran it ({run.deaths} of {MAX_DEATHS} times)."
    run.state = _state_after_death(run)
    run.run_after = Now()
    run.finished_at = None if run.state == TaskRun.State.RETRYING else Now()
    log.warning("run_freed", run_id=str(run.id), task=run.task, deaths=run.deaths, state=run.state)


def _deaths_of(runs: Sequence[TaskRun]) -> Iterator[TaskAttempt]:
    workers = Worker.objects.filter(id__in={run.worker_id for run in runs})
    names: dict[UUID | None, str] = {worker.id: str(worker) for worker in workers}
    for run in runs:
        yield _death_of(run, worker=names.get(run.worker_id, str(run.worker_id)))


def _death_of(run: TaskRun, *, worker: str) -> TaskAttempt:
    return TaskAttempt(
        run=run,
        number=run.attempts,
        worker=worker,
        started_at=run.started_at,
        error_type=run.error_type,
        error=run.error,
    )


def _state_after_death(run: TaskRun) -> TaskRun.State:
    if run.cancel_requested:
        return TaskRun.State.CANCELLED
    return TaskRun.State.DEAD if run.deaths >= MAX_DEATHS else TaskRun.State.RETRYING

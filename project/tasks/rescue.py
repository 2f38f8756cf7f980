"""Gives what dead workers had claimed, and what the broker has lost, back to the living."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import Exists, QuerySet
from django.db.models.functions import Now

from project.tasks.claims import this_worker
from project.tasks.last_chances import broker_queue
from project.tasks.models import TaskAttempt, TaskRun, Worker
from project.tasks.outbox import broker, redis_message_id
from project.tasks.policy import MAX_DEATHS

log = structlog.get_logger(__name__)

#: How long after its last beat a process is presumed dead.
DEAD_AFTER = timedelta(seconds=10)
#: How often a process beats.
BEAT_EVERY = timedelta(seconds=2)
#: A longer pause between two stored beats is a gap: this process may have missed those of others as well.
LONGEST_GAP = 2 * BEAT_EVERY
#: After a gap everybody is given so long to beat again; more than a process needs to reach the database anew.
LISTEN_FOR = 3 * BEAT_EVERY
#: The broker is given this long to show a message that was just published.
SETTLE = timedelta(seconds=5)
#: The same once it is certain that messages were lost: publishing one twice does no harm.
SETTLE_IN_A_HURRY = timedelta(seconds=1)
_BATCH = 5000
#: What `_free` changes.
_FREED_COLUMNS = ("deaths", "error_type", "error", "state", "run_after", "finished_at")


def bury_dead_workers() -> int:
    """Delete processes that stopped beating and free the runs they had claimed; return how many runs.

    Only a process that has been beating without a gap itself may judge the silence of others: while tables are
    locked, or the database is away or stopped, everybody is silent. All of that is compared in the statement that
    locks the silent, on the database's clock as it was when the statement came in.
    """
    with transaction.atomic():
        silent = Worker.objects.filter(_may_judge(), beat_at__lt=Now() - DEAD_AFTER)
        dead = list(silent.select_for_update(skip_locked=True))
        freed = bury(dead)
    for worker in dead:
        log.warning("worker_presumed_dead", worker=str(worker), last_beat=worker.beat_at.isoformat())
    return freed + free_abandoned_runs()


def bury(workers: Iterable[Worker]) -> int:
    """Free the runs that dead processes had claimed, which then name them, and delete the processes.

    Args:
        workers: Certainly dead, or presumed to be.

    Returns:
        How many runs.
    """
    ids = [worker.id for worker in workers]
    with transaction.atomic():
        freed = free_runs(TaskRun.objects.filter(worker_id__in=ids))
        Worker.objects.filter(id__in=ids).delete()
    return freed


def free_abandoned_runs() -> int:
    """Free the runs of processes that no longer exist; return how many, 0 if this process may not judge."""
    return free_runs(TaskRun.objects.filter(_may_judge()).exclude(worker_id__in=Worker.objects.values("id")))


def _may_judge() -> Exists:
    """Return whether this process's own beats have been stored for so long that others have had the time to, too."""
    own = Worker.objects.filter(id=this_worker.id)
    return Exists(own.filter(beat_at__gt=Now() - LONGEST_GAP, listening_since__lt=Now() - LISTEN_FOR))


def free_runs(runs: QuerySet[TaskRun]) -> int:
    """Take running runs from a worker that no longer executes them; return how many.

    Each is published again, or is dead once `MAX_DEATHS` workers have died while they ran it.
    """
    with transaction.atomic():
        locked = runs.select_for_update(skip_locked=True).filter(state=TaskRun.State.RUNNING)[:_BATCH]
        freed = list(locked)
        for run in freed:
            _free(run)
        TaskRun.objects.bulk_update(freed, _FREED_COLUMNS, batch_size=500)
        TaskAttempt.objects.bulk_create(_deaths_of(freed), ignore_conflicts=True)
    return len(freed)


def broker_was_emptied() -> bool:
    """Tell one caller, once, that the broker has lost everything: a key that is always there was gone.

    Raises:
        redis.RedisError: If the broker cannot be reached.
    """
    return bool(broker().client.set(f"{broker().namespace}:__mark__", 1, nx=True))


def reconcile(*, after: UUID | None = None, settle: timedelta = SETTLE) -> tuple[int, UUID | None]:
    """Publish runs again whose message the broker has lost: a part of the queued runs at each call.

    Args:
        after: The id where the last call stopped, or None to start from the oldest run.
        settle: Runs that were published more lately are left alone.

    Returns:
        How many were lost, and the id to go on from (None: the end was reached, or another process is at it).

    Raises:
        redis.RedisError: If the broker cannot be reached; nothing is changed then.
    """
    with transaction.atomic():
        if not _alone_at("reconcile"):
            return 0, None
        batch = _queued(after=after, settle=settle)
        lost = _publish_again(_lost(batch))
    return lost, batch[-1][0] if len(batch) == _BATCH else None


def _alone_at(duty: str) -> bool:
    """Tell whether no other process is at this duty; keeps them away until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"tasks.{duty}"])
        return bool(cursor.fetchone()[0])


def _queued(*, after: UUID | None, settle: timedelta) -> list[tuple[UUID, str, int]]:
    """Return some queued runs, each with the broker's queue and the number of attempts that it has had."""
    queued = TaskRun.objects.filter(state=TaskRun.State.QUEUED, published_at__lte=Now() - settle).order_by("id")
    if after is not None:
        queued = queued.filter(id__gt=after)
    rows = queued.values_list("id", "queue", "deaths", "attempts")[:_BATCH]
    return [(run_id, broker_queue(queue, deaths=deaths), attempts) for run_id, queue, deaths, attempts in rows]


def _lost(runs: list[tuple[UUID, str, int]]) -> list[UUID]:
    lost: list[UUID] = []
    for queue in {queue for _, queue, _ in runs}:
        in_queue = [(run_id, attempts) for run_id, its_queue, attempts in runs if its_queue == queue]
        held = broker().holds(queue, [redis_message_id(run_id, attempts) for run_id, attempts in in_queue])
        lost.extend(run_id for (run_id, _), is_held in zip(in_queue, held, strict=True) if not is_held)
    return lost


def _publish_again(run_ids: list[UUID]) -> int:
    # A run that was claimed since then has rightly no message any more.
    queued = TaskRun.objects.select_for_update(skip_locked=True).filter(id__in=run_ids, state=TaskRun.State.QUEUED)
    free = [run.id for run in queued.only("id")]
    lost = TaskRun.objects.filter(id__in=free).update(state=TaskRun.State.PENDING)
    if lost:
        log.warning("messages_lost_by_broker", runs=lost, cure="publishing them again")
    return lost


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

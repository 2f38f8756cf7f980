"""What is to be done for runs beside running them: one cheap question finds out whether anything is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from project.tasks.batches import settle_batches
from project.tasks.bulk import step_bulk_retries
from project.tasks.outbox import BATCH, expire_once, relay_once
from project.tasks.queues import resume_due_queues
from project.tasks.rescue import DEAD_AFTER, bury_dead_workers, free_abandoned_runs
from project.tasks.statements import run_prepared

_ASK = """
    SELECT EXISTS (SELECT FROM tasks_taskrun WHERE state IN ('pending', 'queued', 'retrying')
                      AND expires_at IS NOT NULL AND expires_at <= clock_timestamp()),
           EXISTS (SELECT FROM tasks_pausedqueue WHERE resume_at <= clock_timestamp()),
           EXISTS (SELECT FROM tasks_taskbatch WHERE finished_at IS NULL),
           EXISTS (SELECT FROM tasks_bulkretry WHERE finished_at IS NULL),
           EXISTS (SELECT FROM tasks_worker WHERE beat_at < clock_timestamp() - %(dead_after)s::interval),
           EXISTS (SELECT FROM tasks_taskrun AS run WHERE state = 'running'
                      AND NOT EXISTS (SELECT FROM tasks_worker AS worker WHERE worker.id = run.worker_id)),
           EXISTS (SELECT FROM tasks_taskrun WHERE state IN ('pending', 'retrying')
                      AND run_after <= clock_timestamp()),
           (SELECT extract(epoch FROM min(run_after) - clock_timestamp())::float8 FROM tasks_taskrun
             WHERE state IN ('pending', 'retrying') AND run_after > clock_timestamp())
"""


def do_what_is_due(*, is_wide_awake: bool) -> timedelta | None:
    """Expire, resume, settle, bury, free and relay, where there is something to.

    Args:
        is_wide_awake: Whether this process may judge the silence of others; see `workers.Life`.

    Returns:
        How long until the next delayed run or retry is due; None if none waits.

    Raises:
        django.db.Error: If the database does not answer.
        redis.RedisError: If the broker does not.
    """
    duties: list[Callable[[], object]] = [
        expire_once,
        resume_due_queues,
        settle_batches,
        step_bulk_retries,
        bury_dead_workers if is_wide_awake else _wait_and_see,
        free_abandoned_runs,
        _relay,
    ]
    *due, seconds = run_prepared(_ASK, {"dead_after": f"{DEAD_AFTER.total_seconds()} seconds"})[0]
    for duty, is_due in zip(duties, due, strict=True):
        if is_due:
            duty()
    return None if seconds is None else timedelta(seconds=max(seconds, 0))


def _wait_and_see() -> None:
    """Give the others time to beat again."""


def _relay() -> None:
    while relay_once() == BATCH:
        pass

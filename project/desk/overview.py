"""What is going on now: the queues and the processes, from a few cheap queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from project.tasks.declaration import all_declarations
from project.tasks.models import PausedQueue, Worker
from project.tasks.sending.last_chances import is_for_last_chances
from project.tasks.upkeep.dead_workers import PRESUMED_DEAD_AFTER

#: No state is counted further than this, so that a backlog of millions does not slow the page that shows it.
MOST_COUNTED = 100_000

# One bounded walk for each partial index; the oldest come first.
_COUNT = """
    WITH unfinished AS (
        (SELECT queue, state, run_after FROM tasks_taskrun WHERE state = 'queued' ORDER BY id LIMIT %(most)s)
        UNION ALL
        (SELECT queue, state, run_after FROM tasks_taskrun WHERE state IN ('pending', 'retrying') AND limit_key = ''
          ORDER BY run_after LIMIT %(most)s)
        UNION ALL
        (SELECT queue, state, run_after FROM tasks_taskrun WHERE state IN ('pending', 'retrying') AND limit_key <> ''
          ORDER BY run_after LIMIT %(most)s)
        UNION ALL
        (SELECT queue, state, run_after FROM tasks_taskrun WHERE state = 'running' LIMIT %(most)s)
    )
    SELECT queue,
           count(*) FILTER (WHERE state <> 'running' AND run_after <= now()),
           count(*) FILTER (WHERE state <> 'running' AND run_after > now()),
           count(*) FILTER (WHERE state = 'running'),
           min(run_after) FILTER (WHERE state <> 'running' AND run_after <= now())
      FROM unfinished GROUP BY queue
"""


@dataclass(frozen=True, kw_only=True)
class QueueNow:
    """One queue at this moment.

    Args:
        name: Its name.
        waiting: Runs that could start now.
        later: Runs whose time has not come.
        running: Runs that a worker executes.
        oldest: Since when the one that waits longest could have started.
        workers: Living worker processes that consume it.
        paused: Why and by whom, if it is paused.
    """

    name: str
    waiting: int = 0
    later: int = 0
    running: int = 0
    oldest: datetime | None = None
    workers: int = 0
    paused: PausedQueue | None = None

    @property
    def oldest_age(self) -> timedelta | None:
        """How long the run that waits longest could have been running."""
        return None if self.oldest is None else timezone.now() - self.oldest

    @property
    def is_unattended(self) -> bool:
        """Whether runs wait that nobody will start."""
        return bool(self.waiting and not self.workers and self.paused is None)


def queues_now() -> list[QueueNow]:
    """Return every queue that is declared, consumed, paused or not empty: three queries."""
    paused = {row.queue: row for row in PausedQueue.objects.all()}
    consumed = [queue for worker in living_workers() for queue in worker.queues if not is_for_last_chances(queue)]
    counts = _counts()
    names = _declared_queues() | set(consumed) | set(paused) | set(counts)
    return [
        _queue(name, counts.get(name), workers=consumed.count(name), paused=paused.get(name)) for name in sorted(names)
    ]


def living_workers() -> QuerySet[Worker]:
    """Return the processes that still beat."""
    return Worker.objects.filter(beat_at__gte=Now() - PRESUMED_DEAD_AFTER)


def _queue(
    name: str, counts: tuple[int, int, int, datetime | None] | None, *, workers: int, paused: PausedQueue | None
) -> QueueNow:
    waiting, later, running, oldest = counts or (0, 0, 0, None)
    return QueueNow(
        name=name,
        waiting=waiting,
        later=later,
        running=running,
        oldest=oldest,
        workers=workers,
        paused=paused,
    )


def _counts() -> dict[str, tuple[int, int, int, datetime | None]]:
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"most": MOST_COUNTED})
        rows: Iterable[tuple[str, int, int, int, datetime | None]] = cursor.fetchall()
    return {queue: (waiting, later, running, oldest) for queue, waiting, later, running, oldest in rows}


def _declared_queues() -> set[str]:
    return {task.queue for task in all_declarations().values()}

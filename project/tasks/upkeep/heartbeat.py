"""Which processes live: each stores its heartbeat in a row of its own, so that the others notice when it dies."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

import structlog

from project.database.prepared_statements import run_prepared
from project.tasks.errors import ClaimLost, TaskCancelled
from project.tasks.models import TaskRun, Worker
from project.tasks.running.execution import executing_here
from project.tasks.running.interrupts import interrupts
from project.tasks.running.started_runs import started_runs
from project.tasks.running.this_worker import this_worker
from project.tasks.upkeep.dead_workers import LONGEST_GAP, free_runs
from project.values.ids import uuid7
from project.values.storable import storable

log = structlog.get_logger(__name__)

# The row is locked first, so that no heartbeat has the time at which it began to wait for somebody else's lock.
_BEAT = """
    WITH own AS MATERIALIZED (SELECT id FROM tasks_worker WHERE id = %(id)s::uuid FOR NO KEY UPDATE)
    UPDATE tasks_worker AS worker
       SET beat_at = clock_timestamp(),
           listening_since = CASE WHEN worker.beat_at < clock_timestamp() - %(longest_gap)s::interval
                                  THEN clock_timestamp() ELSE worker.listening_since END
      FROM own WHERE worker.id = own.id
 RETURNING worker.id
"""
_CLAIMED = """
    SELECT id, attempts, cancel_requested FROM tasks_taskrun WHERE worker_id = %(id)s::uuid AND state = 'running'
"""


class Heartbeat:
    """This process's row in the table of workers.

    Args:
        kind: What the process does.
        queues: The queues it consumes.
        threads: How many runs it executes at once.
    """

    def __init__(self, *, kind: Worker.Kind, queues: Sequence[str] = (), threads: int = 0) -> None:
        self.kind, self.queues, self.threads = kind, sorted(queues), threads
        self.id = uuid7()

    def begin(self) -> None:
        """Insert the row, if it is not there because a reply was lost: from now on this process may claim runs."""
        row = Worker(
            id=self.id,
            kind=self.kind,
            hostname=storable(socket.gethostname(), 150),
            pid=os.getpid(),
            queues=self.queues,
            threads=self.threads,
        )
        Worker.objects.bulk_create([row], ignore_conflicts=True)
        this_worker.id = self.id
        started_runs.open(self.id)

    def end(self) -> None:
        """Delete the row; what the process still claims is given to others at once."""
        Worker.objects.filter(id=self.id).delete()
        started_runs.close()

    def beat(self) -> None:
        """Store that the process lives; its thread and connection do nothing else, so that nothing delays it."""
        gap = f"{LONGEST_GAP.total_seconds()} seconds"
        if not run_prepared(_BEAT, {"id": str(self.id), "longest_gap": gap}):
            self._come_back()

    def _come_back(self) -> None:
        log.error(
            "presumed_dead",
            cure="none needed: its runs were given to other workers; it interrupts them here and signs on anew",
        )
        claimed_before = executing_here()
        self.id = uuid7()
        self.begin()
        for run_id in claimed_before:
            interrupts.interrupt(str(run_id), ClaimLost)


def look_after_claims() -> None:
    """Interrupt the runs of this process that were cancelled, and free those that none of its threads executes."""
    claimed = run_prepared(_CLAIMED, {"id": str(this_worker.id)})
    here = executing_here()
    for run_id, attempts, is_cancelled in claimed:
        if run_id not in here:
            # Of this attempt only: a later one may have begun meanwhile.
            free_runs(TaskRun.objects.filter(id=run_id, attempts=attempts, worker_id=this_worker.id))
        elif is_cancelled:
            interrupts.interrupt(str(run_id), TaskCancelled)

"""Which processes live: each beats in its own row, so that the others notice when it dies."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.utils import timezone

from project.tasks.claims import this_worker
from project.tasks.errors import ClaimLost, TaskCancelled
from project.tasks.execution import executing_here
from project.tasks.ids import uuid7
from project.tasks.interrupts import interrupts
from project.tasks.models import TaskRun, Worker
from project.tasks.rescue import free_runs
from project.tasks.statements import run_prepared
from project.tasks.storable import storable

log = structlog.get_logger(__name__)

BEAT_EVERY = timedelta(seconds=2)
_BEAT = "UPDATE tasks_worker SET beat_at = clock_timestamp() WHERE id = %(id)s::uuid RETURNING id"
_CLAIMED = "SELECT id, cancel_requested FROM tasks_taskrun WHERE worker_id = %(id)s::uuid AND state = 'running'"


class Life:
    """This process's row in the table of workers.

    Args:
        kind: What the process does.
        queues: The queues it consumes.
        threads: How many runs it executes at once.
    """

    def __init__(self, *, kind: Worker.Kind, queues: Sequence[str] = (), threads: int = 0) -> None:
        self.row = Worker(
            id=uuid7(),
            kind=kind,
            hostname=storable(socket.gethostname(), 150),
            pid=os.getpid(),
            queues=sorted(queues),
            threads=threads,
        )
        self._awake_since = self._last_beat = time.time()

    def begin(self) -> None:
        """Insert the row: from now on this process may claim runs."""
        self.row.save(force_insert=True)
        this_worker.id = self.row.id

    def end(self) -> None:
        """Delete the row; what the process still claims is given to others at once."""
        Worker.objects.filter(id=self.row.id).delete()

    def beat(self) -> None:
        """Say that the process lives, and look after what it has claimed."""
        self._notice_a_pause()
        if not run_prepared(_BEAT, {"id": str(self.row.id)}):
            self._come_back()
        _look_after_claims()

    def is_wide_awake(self) -> bool:
        """Tell whether this process has been beating long enough to judge the silence of others.

        After a suspended machine or a database outage everybody's last beat is old; all get time to beat again.
        """
        return time.time() - self._awake_since > 2 * BEAT_EVERY.total_seconds()

    def _notice_a_pause(self) -> None:
        now = time.time()
        if now - self._last_beat > 2 * BEAT_EVERY.total_seconds():
            self._awake_since = now
        self._last_beat = now

    def _come_back(self) -> None:
        log.error("presumed_dead", cure="its runs were given to other workers; it interrupts them and starts over")
        for run_id in executing_here():
            interrupts.interrupt(str(run_id), ClaimLost)
        self.row.id, self.row.beat_at = uuid7(), timezone.now()
        self.begin()


def _look_after_claims() -> None:
    """Interrupt runs of this process that were cancelled, and free those that no thread of it knows of."""
    claimed = dict(run_prepared(_CLAIMED, {"id": str(this_worker.id)}))
    here = executing_here()
    for run_id, is_cancelled in claimed.items():
        if is_cancelled and run_id in here:
            interrupts.interrupt(str(run_id), TaskCancelled)
    lost = claimed.keys() - here
    if lost:
        free_runs(TaskRun.objects.filter(id__in=lost, worker_id=this_worker.id))

"""How far a run has come: written at once, or for a coroutine beside its event loop, the newest report only."""

from __future__ import annotations

import threading
from uuid import UUID

import structlog
from django.db import DatabaseError

from project.tasks.models import TaskRun
from project.tasks.running.beside_loop import start_beside_loop
from project.tasks.running.database import own_connection
from project.tasks.sending.in_task import is_on_event_loop

log = structlog.get_logger(__name__)


class Progress:
    """What one attempt reports.

    Args:
        run_id: The run.
        attempt: The number of the attempt, from 1.
    """

    def __init__(self, run_id: UUID, attempt: int) -> None:
        self._run_id, self._attempt = run_id, attempt
        self._noted: tuple[float, str] | None = None
        #: Held while it is written, so that no older report overwrites a newer one.
        self._writing = threading.Lock()

    def note(self, fraction: float, note: str) -> None:
        """Have it written; a coroutine does not wait for that.

        Args:
            fraction: 0 to 1.
            note: What the run's page shows.
        """
        if not is_on_event_loop():
            self._write(fraction, note)
            return
        is_due, self._noted = self._noted is not None, (fraction, note)
        if not is_due:
            start_beside_loop(self.write_noted)

    def write_noted(self) -> None:
        """Write the newest report of a coroutine, if it is not written yet; what the database refuses is lost."""
        with self._writing:
            noted, self._noted = self._noted, None
            if noted is None:
                return
            try:
                with own_connection():
                    self._write(*noted)
            except DatabaseError as error:
                log.warning("progress_not_written", error=str(error).strip(), cure="none: the next one is tried")

    def _write(self, fraction: float, note: str) -> None:
        mine = TaskRun.objects.filter(id=self._run_id, attempts=self._attempt, state=TaskRun.State.RUNNING)
        mine.update(progress=fraction, progress_note=note)

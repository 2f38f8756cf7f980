"""Where a worker process writes claims and successes: many of them with one statement.

The first thread that wants to write does so at once. Those that come while it does wait for their turn, and the next
of them writes for all ("flat combining": Hendler, Incze, Shavit and Tzafrir, 2010). A claim is waited for; a success
is not: it goes with the next claim, or by itself after a moment. A process that dies in that moment still owns the
run, which is then tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import dramatiq
import structlog
from django.db import DataError

from project.database.access import new_connection
from project.tasks.claims import Claim, claim_of, this_worker
from project.tasks.connections import MACHINERY
from project.tasks.persistence import insist
from project.tasks.statements import array, run_prepared

log = structlog.get_logger(__name__)

#: How long a success waits for a claim to go with, in seconds.
_MOMENT = 0.002

# The last two lines of `claimed` let a claim be repeated whose reply was lost with the connection.
_WRITE = """
    WITH succeeded AS (
        UPDATE tasks_taskrun AS run
           SET state = 'succeeded', finished_at = clock_timestamp(), result = done.result, progress = 1,
               error_type = '', error = '', traceback = '', fingerprint = ''
          FROM unnest(%(done_ids)s::uuid[], %(done_attempts)s::int[], %(done_workers)s::uuid[], %(results)s::jsonb[])
               AS done (id, attempt, worker, result)
         WHERE run.id = done.id AND run.state = 'running'
           AND run.attempts = done.attempt AND run.worker_id = done.worker
     RETURNING run.id
    ), claimed AS (
        UPDATE tasks_taskrun AS run
           SET state = 'running', attempts = message.attempt + 1, worker_id = %(worker)s::uuid,
               started_at = clock_timestamp(), finished_at = NULL, progress = NULL, progress_note = ''
          FROM unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS message (id, attempt)
         WHERE run.id = message.id
           AND (run.state IN ('pending', 'queued', 'retrying') AND run.attempts = message.attempt
                AND (run.expires_at IS NULL OR run.expires_at > clock_timestamp())
                AND NOT EXISTS (SELECT FROM tasks_pausedqueue AS paused WHERE paused.queue = run.queue)
                OR run.state = 'running' AND run.attempts = message.attempt + 1
                AND run.worker_id = %(worker)s::uuid)
     RETURNING run.id, run.attempts, run.task, run.arguments, run.source, run.user_id, run.request_id,
               extract(epoch FROM run.started_at)::float8, run.next_steps
    )
    SELECT id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM succeeded UNION ALL SELECT * FROM claimed
"""


@dataclass(frozen=True)
class Success:
    """An attempt that succeeded.

    Args:
        claim: The attempt.
        result: What the task returned, as JSON text.
        refused: Called when the database cannot store the result.
    """

    claim: Claim
    result: str
    refused: Callable[[DataError], None]


@dataclass
class _Wish:
    message: dramatiq.Message[Any]
    claim: Claim | None = None
    error: Exception | None = None
    is_served: bool = False


class Ledger:
    """The claims and successes of one process on their way to the database."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._wishes: list[_Wish] = []
        self._successes: list[Success] = []
        self._unwritten: dict[UUID, Success] = {}
        self._writer: threading.Thread | None = None
        #: Kept open, and used by whose turn it is.
        self._connection = new_connection(MACHINERY)

    def claim(self, message: dramatiq.Message[Any]) -> Claim | None:
        """Claim the run of a message for this worker; None if it may not start.

        Raises:
            Exception: What the database raised, once the process is told to stop.
        """
        wish = _Wish(message)
        with self._changed:
            self._wishes.append(wish)
        with self._turn:
            if not wish.is_served:
                self._write()
        if wish.error is not None:
            raise wish.error
        return wish.claim

    def succeed(self, success: Success) -> None:
        """Have a success recorded soon."""
        with self._changed:
            self._unwritten[success.claim.run_id] = success
            self._successes.append(success)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_leftovers, name="ledger", daemon=True)
                self._writer.start()
            if len(self._successes) == 1:
                self._changed.notify()

    def unwritten(self) -> set[UUID]:
        """Return the runs whose success the database may not have yet."""
        with self._changed:
            return set(self._unwritten)

    def flush(self) -> None:
        """Write what there is to write, and return when it is written."""
        with self._turn:
            self._write()

    def close(self) -> None:
        """Write what there is to write and end the thread that does so; a later success starts another."""
        self.flush()
        with self._changed:
            writer, self._writer = self._writer, None
            self._changed.notify()
        if writer is not None:
            writer.join()
        with self._turn:
            self._connection.close()

    def _write_leftovers(self) -> None:
        myself = threading.current_thread()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._successes or self._writer is not myself)
            if self._writer is not myself:
                break
            time.sleep(_MOMENT)
            if self._successes:
                self.flush()

    def _write(self) -> None:
        with self._changed:
            wishes, self._wishes = self._wishes, []
            successes, self._successes = self._successes, []
        if not wishes and not successes:
            return
        try:
            self._serve(wishes, successes)
        except Exception as error:
            log.exception("ledger_not_written", runs=len(wishes) + len(successes), cure="other workers take them over")
            for wish in wishes:
                wish.error = error
        for wish in wishes:
            wish.is_served = True
        with self._changed:
            for success in successes:
                self._unwritten.pop(success.claim.run_id, None)

    def _serve(self, wishes: Sequence[_Wish], successes: Sequence[Success]) -> None:
        messages = [wish.message for wish in wishes]
        try:
            written = insist(lambda: write(messages, successes), connection=self._connection)
        except DataError as error:
            self._serve_apart(wishes, successes, error)
            return
        for wish in wishes:
            wish.claim = written.claims.get(wish.message.message_id)
        for success in successes:
            if success.claim.run_id not in written.kept:
                log.warning("outcome_dropped", run_id=str(success.claim.run_id), reason="another worker has taken over")

    def _serve_apart(self, wishes: Sequence[_Wish], successes: Sequence[Success], error: DataError) -> None:
        """One result that cannot be stored must stop neither the others nor any claim."""
        if len(successes) == 1 and not wishes:
            successes[0].refused(error)
            return
        self._serve(wishes, [])
        for success in successes:
            self._serve([], [success])


@dataclass(frozen=True)
class Written:
    """What became of the messages and successes that were written together.

    Args:
        claims: The claims that were made, by message id.
        kept: The runs whose success was recorded; the others are no longer this worker's.
    """

    claims: dict[str, Claim]
    kept: set[UUID]


def write(messages: Sequence[dramatiq.Message[Any]], successes: Sequence[Success]) -> Written:
    """Claim the runs of messages and record successes, with one statement.

    Raises:
        DataError: If one of the results cannot be stored.
    """
    values = {
        "ids": array(message.message_id for message in messages),
        "attempts": array(message.options["attempt"] for message in messages),
        "worker": str(this_worker.id),
        "done_ids": array(success.claim.run_id for success in successes),
        "done_attempts": array(success.claim.attempt for success in successes),
        "done_workers": array(success.claim.worker_id for success in successes),
        "results": array(success.result for success in successes),
    }
    rows = run_prepared(_WRITE, values)
    claims = {str(row[0]): claim_of(*row) for row in rows if row[1] is not None}
    return Written(claims=claims, kept={row[0] for row in rows if row[1] is None})


ledger = Ledger()

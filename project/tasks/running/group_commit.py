"""Where a worker process writes claims and successes: many of them with one statement.

The first thread that wants to write does so at once. Those that come while it does wait for their turn, and the next
of them writes for all ("flat combining": Hendler, Incze, Shavit and Tzafrir, 2010). A claim is waited for; a success
is not: it goes with the next claim, or by itself after a moment. A process that dies in that moment still owns the
run, which is then tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import dramatiq
import structlog
from django.db import DataError, OperationalError
from psycopg.errors import LockNotAvailable

from project.database.access import new_connection
from project.database.sessions import Session
from project.tasks.running.claim import Claim
from project.tasks.running.database import MACHINERY, insist
from project.tasks.running.writing import Success, Written, still_ours, write, write_unlocked

log = structlog.get_logger(__name__)

#: How long a success waits for a claim to go with, in seconds.
_MOMENT = 0.002
#: A row that stays locked for longer is left out: it must not stop the process. To lock each row first, so as never to
#: wait, would cost every claim a fifth more.
PATIENCE = timedelta(milliseconds=100)
#: Seconds after which a success is tried again whose row somebody has locked, and that the process takes for that at
#: its end.
_AGAIN_AFTER, _LAST_TRIES = 0.25, 5.0


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
        self._locked: list[Success] = []
        self._again_at = 0.0
        self._writer: threading.Thread | None = None
        #: Kept open, and used by whose turn it is.
        patience = Session((("lock_timeout", f"{PATIENCE.total_seconds() * 1000:.0f}ms"),))
        self._connection = new_connection(MACHINERY | patience)

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
        deadline = time.monotonic() + _LAST_TRIES
        while self._locked and time.monotonic() < deadline:
            time.sleep(_AGAIN_AFTER)
            self.flush()
        if self._locked:
            log.error("successes_not_written", runs=len(self._locked), cure="their rows are locked: they run again")
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
                again_after = _AGAIN_AFTER if self._locked else None
                self._changed.wait_for(lambda: self._successes or self._writer is not myself, again_after)
            if self._writer is not myself:
                break
            time.sleep(_MOMENT)
            if self._successes or self._locked:
                self.flush()

    def _write(self) -> None:
        with self._changed:
            wishes, self._wishes = self._wishes, []
            successes, self._successes = self._successes, []
            again: list[Success] = []
            if self._locked and time.monotonic() >= self._again_at:
                again, self._locked = self._locked, []
        locked: list[Success] = []
        try:
            if wishes or successes:
                locked += self._serve(wishes, successes)
            if again:
                locked += self._try_again(again)
        except Exception as error:
            log.exception("ledger_not_written", runs=len(wishes) + len(successes), cure="other workers take them over")
            for wish in wishes:
                wish.error = error
        for wish in wishes:
            wish.is_served = True
        with self._changed:
            for success in successes + again:
                self._unwritten.pop(success.claim.run_id, None)
            self._keep(locked)

    def _keep(self, locked: list[Success]) -> None:
        """Keep successes for later whose rows somebody has locked."""
        if locked:
            self._unwritten |= {success.claim.run_id: success for success in locked}
            self._locked += locked
            self._again_at = time.monotonic() + _AGAIN_AFTER

    def _serve(self, wishes: Sequence[_Wish], successes: Sequence[Success]) -> list[Success]:
        """Write; return the successes whose rows somebody has locked."""
        messages = [wish.message for wish in wishes]
        try:
            written = insist(lambda: _write_what_is_free(messages, successes), connection=self._connection)
        except DataError as error:
            return self._serve_apart(wishes, successes, error)
        for wish in wishes:
            wish.claim = written.claims.get(wish.message.message_id)
        left = [success for success in successes if success.claim.run_id not in written.kept]
        return self._look_again(left) if left else []

    def _try_again(self, locked: Sequence[Success]) -> list[Success]:
        """Write successes whose rows somebody had locked; return those that still are."""
        written = insist(lambda: write_unlocked([], locked), connection=self._connection)
        left = [success for success in locked if success.claim.run_id not in written.kept]
        return self._look_again(left) if left else []

    def _look_again(self, left: Sequence[Success]) -> list[Success]:
        """Return those of the successes that were left out because somebody has locked their rows."""
        ours = insist(lambda: still_ours(left), connection=self._connection)
        for success in left:
            if success.claim.run_id not in ours:
                log.warning("outcome_dropped", run_id=str(success.claim.run_id), reason="another worker has taken over")
        return [success for success in left if success.claim.run_id in ours]

    def _serve_apart(self, wishes: Sequence[_Wish], successes: Sequence[Success], error: DataError) -> list[Success]:
        """One result that cannot be stored must stop neither the others nor any claim."""
        if len(successes) == 1 and not wishes:
            successes[0].refused(error)
            return []
        self._serve(wishes, [])
        return [locked for success in successes for locked in self._serve([], [success])]


def _write_what_is_free(messages: Sequence[dramatiq.Message[Any]], successes: Sequence[Success]) -> Written:
    try:
        return write(messages, successes)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
    return write_unlocked(messages, successes)


ledger = Ledger()

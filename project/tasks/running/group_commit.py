"""Where a worker process writes claims and successes: many of them with one statement.

The first thread that wants to write does so at once. Those that come meanwhile wait until it has finished, and the
next of them writes for all ("flat combining": Hendler, Incze, Shavit and Tzafrir, 2010). A claim is waited for; a
success is not: it goes with the next claim, or by itself after a moment. A process that dies in that moment still
owns the run, which is then tried again.
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
from project.tasks.running.claim_statement import (
    ClaimedRow,
    Outcome,
    Success,
    claim_and_succeed,
    claim_and_succeed_unlocked,
    still_ours,
)
from project.tasks.running.database import MACHINERY, insist

log = structlog.get_logger(__name__)

#: How long a success waits for a claim to go with: a busy worker claims more often, and nobody notices the delay.
WAIT_FOR_CLAIM = timedelta(milliseconds=2)
#: A row that stays locked for longer is left out: it must not stop the process. To lock each row first, so as never to
#: wait, would cost every claim a fifth more.
LOCK_PATIENCE = timedelta(milliseconds=100)
#: When a success is tried again whose row somebody has locked: soon enough that its sender hardly waits longer.
RETRY_LOCKED_EVERY = timedelta(milliseconds=250)
#: How long the process goes on trying that at its end. What is still locked then is run again by another.
RETRY_LOCKED_AT_THE_END = timedelta(seconds=5)
#: The statement is planned once for as long as the connection lives, perhaps while the table is empty: a plan that
#: reads all of it would stay, and cost a third of the throughput at ten thousand rows.
BY_KEY = Session((("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off")))


@dataclass
class ClaimRequest:
    """A worker thread asks for the run of a message, and another one may answer.

    Args:
        message: The message.
        row: The run, if it was claimed.
        error: What the database raised instead.
        is_answered: Whether it is known which of the two it is, or neither.
    """

    message: dramatiq.Message[Any]
    row: ClaimedRow | None = None
    error: Exception | None = None
    is_answered: bool = False


class GroupCommit:
    """The claims and successes of one process on their way to the database."""

    def __init__(self) -> None:
        #: Held by the thread that writes.
        self._writing = threading.Lock()
        #: Guards the lists, and wakes the thread that writes successes for which no claim comes.
        self._changed = threading.Condition()
        self._requests: list[ClaimRequest] = []
        self._successes: list[Success] = []
        self._locked: list[Success] = []
        self._retry_locked_at = 0.0
        self._unwritten: dict[UUID, Success] = {}
        self._leftovers: threading.Thread | None = None
        patience = Session((("lock_timeout", f"{LOCK_PATIENCE / timedelta(milliseconds=1):.0f}ms"),))
        #: Kept open, and used by the thread that writes.
        self._connection = new_connection(MACHINERY | patience | BY_KEY)

    def claim(self, message: dramatiq.Message[Any]) -> ClaimedRow | None:
        """Claim the run of a message for this worker; None if it may not start.

        Raises:
            Exception: What the database raised, once the process is told to stop.
        """
        (request,) = self.claim_all([message])
        if request.error is not None:
            raise request.error
        return request.row

    def claim_all(self, messages: Sequence[dramatiq.Message[Any]]) -> list[ClaimRequest]:
        """Claim the runs of messages for this worker; return the answers, in their order."""
        requests = [ClaimRequest(message) for message in messages]
        with self._changed:
            self._requests += requests
        with self._writing:
            if not all(request.is_answered for request in requests):
                self._write()
        return requests

    def succeed(self, success: Success) -> None:
        """Have a success recorded soon."""
        with self._changed:
            self._unwritten[success.run_id] = success
            self._successes.append(success)
            if self._leftovers is None:
                self._leftovers = threading.Thread(target=self._write_leftovers, name="group-commit", daemon=True)
                self._leftovers.start()
            if len(self._successes) == 1:
                self._changed.notify()

    def unwritten(self) -> set[UUID]:
        """Return the runs whose success the database may not have yet."""
        with self._changed:
            return set(self._unwritten)

    def flush(self) -> None:
        """Write what there is to write, and return when it is written."""
        with self._writing:
            self._write()

    def close(self) -> None:
        """Write what there is to write and end the thread that does so; a later success starts another."""
        self.flush()
        deadline = time.monotonic() + RETRY_LOCKED_AT_THE_END.total_seconds()
        while self._locked and time.monotonic() < deadline:
            time.sleep(RETRY_LOCKED_EVERY.total_seconds())
            self.flush()
        if self._locked:
            log.error("successes_not_written", runs=len(self._locked), cure="their rows are locked: they run again")
        with self._changed:
            leftovers, self._leftovers = self._leftovers, None
            self._changed.notify()
        if leftovers is not None:
            leftovers.join()
        with self._writing:
            self._connection.close()

    def _write_leftovers(self) -> None:
        """Write the successes for which no claim comes, until `close` is called."""
        myself = threading.current_thread()
        while True:
            with self._changed:
                timeout = RETRY_LOCKED_EVERY.total_seconds() if self._locked else None
                self._changed.wait_for(lambda: self._successes or self._leftovers is not myself, timeout)
            if self._leftovers is not myself:
                break
            time.sleep(WAIT_FOR_CLAIM.total_seconds())
            if self._successes or self._locked:
                self.flush()

    def _write(self) -> None:
        """Write everything that is waiting, and answer those who asked."""
        requests, successes, retried = self._take_waiting()
        locked: list[Success] = []
        try:
            if requests or successes:
                locked += self._write_together(requests, successes)
            if retried:
                locked += self._retry_locked(retried)
        except Exception as error:
            cure = "other workers take the runs over"
            log.exception("group_commit_failed", runs=len(requests) + len(successes), cure=cure)
            for request in requests:
                request.error = error
        for request in requests:
            request.is_answered = True
        with self._changed:
            for success in successes + retried:
                self._unwritten.pop(success.run_id, None)
            self._keep_for_later(locked)

    def _take_waiting(self) -> tuple[list[ClaimRequest], list[Success], list[Success]]:
        """Take the requests, the successes, and those successes whose rows were locked and may be free by now."""
        with self._changed:
            requests, self._requests = self._requests, []
            successes, self._successes = self._successes, []
            retried: list[Success] = []
            if self._locked and time.monotonic() >= self._retry_locked_at:
                retried, self._locked = self._locked, []
        return requests, successes, retried

    def _keep_for_later(self, locked: list[Success]) -> None:
        if locked:
            self._unwritten |= {success.run_id: success for success in locked}
            self._locked += locked
            self._retry_locked_at = time.monotonic() + RETRY_LOCKED_EVERY.total_seconds()

    def _write_together(self, requests: Sequence[ClaimRequest], successes: Sequence[Success]) -> list[Success]:
        """Claim and record with one statement; return the successes whose rows somebody has locked."""
        messages = [request.message for request in requests]
        try:
            outcome = insist(lambda: _write_what_is_free(messages, successes), connection=self._connection)
        except DataError as error:
            return self._write_apart(requests, successes, error)
        for request in requests:
            request.row = outcome.claimed.get(request.message.message_id)
        return self._left_out(successes, outcome)

    def _write_apart(
        self, requests: Sequence[ClaimRequest], successes: Sequence[Success], error: DataError
    ) -> list[Success]:
        """Write each by itself: what cannot be stored must stop neither another success nor another claim."""
        if len(requests) + len(successes) == 1:
            for request in requests:
                request.error = error
            for success in successes:
                success.refused(error)
            return []
        # Claims are hardly ever to blame, so they stay together as long as there is anything else.
        claims = [requests] if successes and requests else [[request] for request in requests]
        for some in claims:
            self._write_together(some, [])
        return [locked for success in successes for locked in self._write_together([], [success])]

    def _retry_locked(self, retried: Sequence[Success]) -> list[Success]:
        """Record successes whose rows somebody had locked; return those whose rows still are."""
        outcome = insist(lambda: claim_and_succeed_unlocked([], retried), connection=self._connection)
        return self._left_out(retried, outcome)

    def _left_out(self, successes: Sequence[Success], outcome: Outcome) -> list[Success]:
        """Return the successes that were left out because somebody has locked their rows."""
        left = [success for success in successes if success.run_id not in outcome.succeeded]
        if not left:
            return []
        ours = insist(lambda: still_ours(left), connection=self._connection)
        for success in left:
            if success.run_id not in ours:
                log.warning("outcome_dropped", run_id=str(success.run_id), reason="another worker has taken over")
        return [success for success in left if success.run_id in ours]


def _write_what_is_free(messages: Sequence[dramatiq.Message[Any]], successes: Sequence[Success]) -> Outcome:
    try:
        return claim_and_succeed(messages, successes)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
    return claim_and_succeed_unlocked(messages, successes)


#: This process's.
group_commit = GroupCommit()

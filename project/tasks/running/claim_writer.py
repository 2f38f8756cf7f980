"""Writes claims and successes, on a connection that does not wait for the disk; one thread at a time uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import dramatiq
import structlog
from django.conf import settings
from django.db import DataError, OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from project.database.access import new_connection, this_connection
from project.database.sessions import Session
from project.tasks.running.claim_statement import (
    Claimed,
    ClaimedRow,
    Outcome,
    Success,
    claim_and_succeed,
    claim_and_succeed_unlocked,
    still_ours,
)
from project.tasks.running.database import MACHINERY, insist
from project.tasks.running.unflushed import Unflushed

T = TypeVar("T")
log = structlog.get_logger(__name__)

#: A row that stays locked for longer is left out: it must not stop the process. To lock each row first, so as never to
#: wait, would cost every claim a fifth more.
LOCK_PATIENCE = timedelta(milliseconds=100)
# Not where another server's disk is waited for too: whether that one has something, nobody here is told.
_DO_NOT_WAIT = """
    SELECT set_config('synchronous_commit', 'off', false) WHERE current_setting('synchronous_standby_names') = ''
"""
# A commit waits for the disk only if it has written something.
_WRITE_SOMETHING = "SELECT pg_logical_emit_message(true, 'project.tasks', 'flush')"


@dataclass
class ClaimRequest:
    """Somebody asks for the run of a message, and whoever writes next answers.

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


class ClaimWriter:
    """A connection to the database, and what its disk may not have yet of what was written there."""

    def __init__(self) -> None:
        patience = Session((("lock_timeout", f"{LOCK_PATIENCE / timedelta(milliseconds=1):.0f}ms"),))
        #: Kept open.
        self.connection = new_connection(MACHINERY | patience)
        self.unflushed = Unflushed()
        self._known: object = None
        #: Successes that were written again and whose rows somebody has locked.
        self._locked: list[Success] = []

    def write(self, requests: Sequence[ClaimRequest], successes: Sequence[Success]) -> list[Success]:
        """Claim and record with one statement; return the successes whose rows somebody has locked."""
        messages = [request.message for request in requests]
        try:
            outcome = self._insist(lambda: _write_what_is_free(messages, successes))
        except DataError as error:
            return self._write_apart(requests, successes, error)
        for request in requests:
            request.row = outcome.claimed.get(request.message.message_id)
        self._note(successes, outcome)
        return self._left_out(successes, outcome)

    def retry_locked(self, successes: Sequence[Success]) -> list[Success]:
        """Record successes whose rows somebody had locked; return those whose rows still are."""
        outcome = self._insist(lambda: claim_and_succeed_unlocked([], successes))
        self._note(successes, outcome)
        return self._left_out(successes, outcome)

    def confirm(self) -> list[Success]:
        """Ask how far the disk is, and write again what a crash has taken back; return what is locked."""
        return self.write([], [])

    def settle(self) -> None:
        """Return when the disk has everything that was written."""
        if not self.unflushed.is_empty:
            self._insist(_wait_for_disk)
            self.unflushed.forget()

    def has_unflushed(self, claim: Claimed) -> bool:
        """Tell whether a crash of the database may have taken back a claim."""
        return claim.run_id in self.unflushed.runs()

    def close(self) -> None:
        """Close the connection; it is not as others expect theirs."""
        self.connection.discard()

    def _insist(self, operation: Callable[[], T]) -> T:
        def operate() -> T:
            self._prepare()
            return operation()

        return insist(operate, connection=self.connection)

    def _prepare(self) -> None:
        """Set a new connection up; the server may have crashed, so what it may not have comes before anything else."""
        own = this_connection()
        own.ensure_connection()
        if own.connection is self._known:
            return
        self._locked += self.unflushed.write_again()
        if settings.DATABASE_KEEPS_SESSIONS:
            with connection.cursor() as cursor:
                cursor.execute(_DO_NOT_WAIT)
        self._known = own.connection

    def _note(self, successes: Sequence[Success], outcome: Outcome) -> None:
        recorded = [success for success in successes if success.run_id in outcome.succeeded]
        claimed = list(outcome.claimed.values())
        self.unflushed.note(claimed, recorded, inserted=outcome.inserted, flushed=outcome.flushed)

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
            self.write(some, [])
        return [locked for success in successes for locked in self.write([], [success])]

    def _left_out(self, successes: Sequence[Success], outcome: Outcome) -> list[Success]:
        """Return the successes that were left out because somebody has locked their rows."""
        again, self._locked = self._locked, []
        left = [success for success in successes if success.run_id not in outcome.succeeded]
        if not left:
            return again
        ours = self._insist(lambda: still_ours(left))
        for success in left:
            if success.run_id not in ours:
                log.warning("outcome_dropped", run_id=str(success.run_id), reason="another worker has taken over")
        return again + [success for success in left if success.run_id in ours]


def _write_what_is_free(messages: Sequence[dramatiq.Message[Any]], successes: Sequence[Success]) -> Outcome:
    try:
        return claim_and_succeed(messages, successes)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
    return claim_and_succeed_unlocked(messages, successes)


def _wait_for_disk() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
        cursor.execute(_WRITE_SOMETHING)

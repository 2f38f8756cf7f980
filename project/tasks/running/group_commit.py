"""Where a worker process writes claims and successes: many of them with one statement.

The first thread that wants to write does so at once. Those that come meanwhile wait until it has finished, and the
next of them writes for all ("flat combining": Hendler, Incze, Shavit and Tzafrir, 2010). A claim is waited for; a
success is not: it goes with the next claims, or with other successes after a moment. A process that dies in that moment
still owns the run, which is then tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import dramatiq
import structlog
from django.db import Error as DatabaseError

from project.tasks.running.claim_statement import Claimed, ClaimedRow, Success
from project.tasks.running.claim_writer import ClaimRequest, ClaimWriter

log = structlog.get_logger(__name__)

#: How long a success waits for another one, or for claims to go with: nobody notices the delay. While others come it
#: waits on, each time twice as long, so that a busy process writes some fifty together.
WAIT_FOR_OTHERS = timedelta(milliseconds=2)
#: No success waits for longer than about this.
LONGEST_WAIT = timedelta(milliseconds=12)
#: When a success is tried again whose row somebody has locked: soon enough that its sender hardly waits longer.
RETRY_LOCKED_EVERY = timedelta(milliseconds=250)
#: How long the process goes on trying that at its end. What is still locked then is run again by another.
RETRY_LOCKED_AT_THE_END = timedelta(seconds=5)
#: When a process that writes nothing more asks whether the disk has it all: by then it has, if nothing is amiss, for
#: PostgreSQL sees to that within three times its `wal_writer_delay` of 200 ms.
CONFIRM_AFTER = timedelta(milliseconds=700)


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
        #: Used by the thread that writes.
        self._writer = ClaimWriter()

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
        with self._changed:
            self._start_leftovers()
        return requests

    def succeed(self, success: Success) -> None:
        """Have a success recorded soon."""
        with self._changed:
            self._unwritten[success.run_id] = success
            self._successes.append(success)
            self._start_leftovers()
            if len(self._successes) == 1:
                self._changed.notify()

    def unwritten(self) -> set[UUID]:
        """Return the runs whose claim or success the database may not have yet, or not on its disk."""
        with self._changed:
            return set(self._unwritten) | self._writer.unflushed.runs()

    def restore(self, claim: Claimed) -> bool:
        """Write again what a crash of the database may have taken back; tell whether that may concern a claim."""
        if not self._writer.has_unflushed(claim):
            return False
        self._confirm()
        return True

    def give_up(self, claims: Sequence[Claimed]) -> None:
        """Never write claims again that are taken back on purpose."""
        self._writer.unflushed.give_up(claims)

    def flush(self) -> None:
        """Write what there is to write, and return when it is written."""
        with self._writing:
            self._write()

    def settle(self) -> None:
        """Write what there is to write, and return when the disk has it; what the database raises is logged."""
        try:
            with self._writing:
                self._write()
                self._writer.settle()
        except DatabaseError as error:
            cure = "none needed: runs whose success a crash takes back are run again"
            log.warning("successes_perhaps_not_on_disk", error=str(error).strip(), cure=cure)

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
        self.settle()
        with self._writing:
            self._writer.close()

    def _start_leftovers(self) -> None:
        if self._leftovers is None:
            self._leftovers = threading.Thread(target=self._write_leftovers, name="group-commit", daemon=True)
            self._leftovers.start()

    def _write_leftovers(self) -> None:
        """Write the successes for which no claim comes, until `close` is called."""
        myself = threading.current_thread()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._successes or self._leftovers is not myself, self._patience())
            if self._leftovers is not myself:
                break
            if self._successes:
                self._wait_for_others()
            if self._successes or self._locked:
                self.flush()
            elif not self._writer.unflushed.is_empty:
                self._confirm()

    def _patience(self) -> float | None:
        """Return for how many seconds there is nothing to do unless a success comes; None for ever."""
        if self._locked:
            return RETRY_LOCKED_EVERY.total_seconds()
        return None if self._writer.unflushed.is_empty else CONFIRM_AFTER.total_seconds()

    def _wait_for_others(self) -> None:
        count, pause, waited = 0, WAIT_FOR_OTHERS.total_seconds(), 0.0
        while len(self._successes) > count and waited < LONGEST_WAIT.total_seconds():
            count = len(self._successes)
            time.sleep(pause)
            waited, pause = waited + pause, pause * 2

    def _confirm(self) -> None:
        try:
            with self._writing:
                locked = self._writer.confirm()
            with self._changed:
                self._keep_for_later(locked)
        except DatabaseError as error:
            log.warning("not_confirmed", error=str(error).strip(), cure="none needed: this process ends")

    def _write(self) -> None:
        """Write everything that is waiting, and answer those who asked."""
        requests, successes, retried = self._take_waiting()
        locked: list[Success] = []
        try:
            if requests or successes:
                locked += self._writer.write(requests, successes)
            if retried:
                locked += self._writer.retry_locked(retried)
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


#: This process's.
group_commit = GroupCommit()

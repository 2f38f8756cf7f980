"""What this process wrote without waiting for the disk, kept until the server's disk has it.

To wait for the disk is most of what a claim costs. So the server answers claims and successes at once
(`synchronous_commit = off`), and a crash of it takes back those of the last instants, usually less than half a second.
What was taken back is written again by whoever wrote it, before anything else: the statements name run, attempt and
worker, so that nothing is changed which others have taken over.

Positions are those of PostgreSQL's write-ahead log, in bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from project.database.prepared_statements import run_prepared
from project.tasks.running.claim_statement import Claimed, Success, claim_and_succeed_unlocked, names_of, still_ours

# As long as this process has a row, nobody else was given the run that is queued only because a claim was taken back.
_CLAIM_AGAIN = """
    UPDATE tasks_taskrun AS run
       SET state = 'running', attempts = claim.attempt, worker_id = claim.worker, started_at = clock_timestamp(),
           finished_at = NULL, progress = NULL, progress_note = ''
      FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(workers)s::uuid[]) AS claim (id, attempt, worker)
     WHERE run.id = claim.id
       AND run.id IN (SELECT id FROM tasks_taskrun WHERE id = ANY (%(ids)s::uuid[]) FOR NO KEY UPDATE SKIP LOCKED)
       AND run.attempts = claim.attempt - 1 AND run.state IN ('pending', 'queued', 'retrying')
       AND EXISTS (SELECT FROM tasks_worker AS worker WHERE worker.id = claim.worker)
 RETURNING run.id
"""


@dataclass
class _Written:
    """What one statement has written.

    Args:
        claims: The runs that it claimed.
        successes: The successes that it recorded.
        end: A position after its commit; None until a later statement has told one.
    """

    claims: list[Claimed]
    successes: list[Success]
    end: float | None = None


class Unflushed:
    """What the server's disk may not have yet; used by the thread that writes."""

    def __init__(self) -> None:
        self._written: deque[_Written] = deque()

    def note(self, claims: Sequence[Claimed], successes: Sequence[Success], *, inserted: float, flushed: float) -> None:
        """Keep what a statement has written, and drop what the disk has by now.

        Args:
            claims: The runs that it claimed.
            successes: The successes that it recorded.
            inserted: How far the log had been written when the statement ran: after all commits before it.
            flushed: How far the disk had it.
        """
        for earlier in self._written:
            if earlier.end is None:
                earlier.end = inserted
        while self._written and (self._written[0].end or 0) <= flushed:
            self._written.popleft()
        if claims or successes:
            self._written.append(_Written(list(claims), list(successes)))

    def forget(self) -> None:
        """Drop everything: the disk has it."""
        self._written.clear()

    def give_up(self, claims: Sequence[Claimed]) -> None:
        """Drop claims that are taken back on purpose."""
        given_up = {claim.run_id for claim in claims}
        for each in self._written:
            each.claims = [claim for claim in each.claims if claim.run_id not in given_up]

    @property
    def is_empty(self) -> bool:
        """Whether no run is concerned; to gather all of them for that, as `runs` does, takes a while."""
        return not any(each.claims or each.successes for each in list(self._written))

    def runs(self) -> set[UUID]:
        """Return the runs that are concerned."""
        written = list(self._written)
        return {one.run_id for each in written for one in (*each.claims, *each.successes)}

    def write_again(self) -> list[Success]:
        """Write again what a crash may have taken back; return the successes whose rows somebody has locked."""
        claims = [claim for each in self._written for claim in each.claims]
        successes = [success for each in self._written for success in each.successes]
        if not claims and not successes:
            return []
        run_prepared(_CLAIM_AGAIN, names_of(claims))
        ours = still_ours(successes)
        taken_back = [success for success in successes if success.run_id in ours]
        succeeded = claim_and_succeed_unlocked([], taken_back).succeeded
        # Positions from before a crash say nothing about the log that follows it.
        self._written = deque([_Written(claims, successes)])
        return [success for success in taken_back if success.run_id not in succeeded]

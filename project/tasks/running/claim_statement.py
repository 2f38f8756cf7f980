"""The statement that claims runs and records successes, many of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import dramatiq
from django.db import DataError, transaction

from project.database.prepared_statements import array, run_prepared
from project.tasks.running.this_worker import this_worker
from project.tasks.sending.cause import Source

# A process claims nothing once it was presumed dead and its row is gone. The second way to be claimed lets a claim be
# repeated whose reply was lost with the connection; a success that is recorded already is repeated in the same way. The
# states of runs that succeed are compared in a way that no index answers: a process would otherwise walk all that run
# anywhere, and what vacuum left of those that did, not its own.
_CLAIM_AND_SUCCEED = """
    WITH succeeded AS (
        UPDATE tasks_taskrun AS run
           SET state = 'succeeded', started_at = to_timestamp(done.started), finished_at = to_timestamp(done.finished),
               result = done.result, progress = 1, error_type = '', error = '', traceback = '', fingerprint = ''
          FROM unnest(%(done_ids)s::uuid[], %(done_attempts)s::int[], %(done_workers)s::uuid[], %(results)s::jsonb[],
                      %(started)s::float8[], %(finished)s::float8[])
               AS done (id, attempt, worker, result, started, finished)
         WHERE run.id = done.id AND run.state || '' IN ('running', 'succeeded')
           AND run.attempts = done.attempt AND run.worker_id = done.worker
     RETURNING run.id
    ), claimed AS (
        UPDATE tasks_taskrun AS run
           SET state = 'running', attempts = message.attempt + 1, worker_id = %(worker)s::uuid,
               started_at = clock_timestamp(), finished_at = NULL, progress = NULL, progress_note = ''
          FROM unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS message (id, attempt)
         WHERE run.id = message.id
           AND EXISTS (SELECT FROM tasks_worker AS worker WHERE worker.id = %(worker)s::uuid)
           AND (
                (run.state IN ('pending', 'queued', 'retrying')
                 AND run.attempts = message.attempt
                 AND (run.expires_at IS NULL OR run.expires_at > clock_timestamp())
                 AND NOT EXISTS (SELECT FROM tasks_pausedqueue AS paused WHERE paused.queue = run.queue))
                OR
                (run.state = 'running'
                 AND run.attempts = message.attempt + 1
                 AND run.worker_id = %(worker)s::uuid)
               )
     RETURNING run.id, run.attempts, run.task, run.arguments, run.source, run.user_id, run.request_id,
               extract(epoch FROM run.started_at)::float8, run.next_steps
    )
    SELECT 'succeeded' AS kind, id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM succeeded
     UNION ALL
    SELECT 'claimed' AS kind, * FROM claimed
     UNION ALL
    SELECT 'inserted', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8, NULL
     UNION ALL
    SELECT 'flushed', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::float8, NULL
"""
# Its message goes back to the broker, so the run is queued, whatever it was before.
_UNCLAIM = """
    UPDATE tasks_taskrun AS run
       SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
           finished_at = CASE WHEN cancel_requested THEN clock_timestamp() END,
           attempts = run.attempts - 1, worker_id = NULL,
           started_at = CASE WHEN run.attempts > 1 THEN started_at END
      FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(workers)s::uuid[]) AS claim (id, attempt, worker)
     WHERE run.id = claim.id AND run.state || '' = 'running'
       AND run.attempts = claim.attempt AND run.worker_id = claim.worker
 RETURNING run.id
"""
_LOCK_UNLOCKED = "SELECT id FROM tasks_taskrun WHERE id = ANY (%(ids)s::uuid[]) FOR NO KEY UPDATE SKIP LOCKED"
_STILL_OURS = """
    SELECT run.id
      FROM tasks_taskrun AS run
      JOIN unnest(%(ids)s::uuid[], %(attempts)s::int[], %(workers)s::uuid[]) AS success (id, attempt, worker)
           ON success.id = run.id
     WHERE run.state = 'running' AND run.attempts = success.attempt AND run.worker_id = success.worker
"""


@dataclass(frozen=True, kw_only=True)
class Success:
    """An attempt that succeeded.

    Args:
        run_id: The run.
        attempt: The number of the attempt, from 1.
        worker_id: Under which id it was claimed.
        result: What the task returned, as JSON text.
        started_at: When it began, by the database's clock in seconds since 1970.
        finished_at: When it ended, by the same clock.
        refused: Called when the database cannot store the result.
    """

    run_id: UUID
    attempt: int
    worker_id: UUID
    result: str
    started_at: float
    finished_at: float
    refused: Callable[[DataError], None]


class Claimed(Protocol):
    """What tells one claim from all others."""

    @property
    def run_id(self) -> UUID:
        """The run."""

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1."""

    @property
    def worker_id(self) -> UUID:
        """Under which id it was claimed."""


class ClaimedRow(NamedTuple):
    """What the database tells of a run that was claimed.

    Args:
        worker_id: Under which id it was claimed.
        run_id: The run.
        attempt: The number of the attempt, from 1.
        task: The task's name.
        arguments: Its arguments as JSON text.
        source: What sent it.
        user_id: The user who caused it.
        request_id: The request that caused it.
        started_at: When it was claimed, in seconds since 1970.
        next_steps: What a chain sends when it succeeds, as JSON text.
    """

    worker_id: UUID
    run_id: UUID
    attempt: int
    task: str
    arguments: str
    source: Source
    user_id: int | None
    request_id: str
    started_at: float
    next_steps: str


@dataclass
class Outcome:
    """What became of the messages and successes that one statement was about.

    Args:
        claimed: The runs that were claimed, by message id.
        succeeded: The runs whose success was recorded; the others are no longer this worker's, or somebody has locked
            them.
        inserted: How far the database's log was written when the statement ran, in bytes: after all commits before it.
        flushed: How far the database's disk had its log.
    """

    claimed: dict[str, ClaimedRow] = field(default_factory=dict)
    succeeded: set[UUID] = field(default_factory=set)
    inserted: float = 0.0
    flushed: float = 0.0


def claim_and_succeed(messages: Sequence[dramatiq.Message[Any]], successes: Sequence[Success]) -> Outcome:
    """Claim the runs of messages and record successes, with one statement that waits for rows which are locked.

    Raises:
        DataError: If one of the results cannot be stored.
    """
    worker_id = this_worker.id
    values = {
        "ids": array(message.message_id for message in messages),
        "attempts": array(message.options["attempt"] for message in messages),
        "worker": str(worker_id),
        "done_ids": array(success.run_id for success in successes),
        "done_attempts": array(success.attempt for success in successes),
        "done_workers": array(success.worker_id for success in successes),
        "results": array(success.result for success in successes),
        "started": array(success.started_at for success in successes),
        "finished": array(success.finished_at for success in successes),
    }
    outcome = Outcome()
    for kind, run_id, *columns in run_prepared(_CLAIM_AND_SUCCEED, values):
        match kind:
            case "claimed":
                outcome.claimed[str(run_id)] = ClaimedRow(worker_id, run_id, *columns)
            case "succeeded":
                outcome.succeeded.add(run_id)
            case "inserted":
                outcome.inserted = columns[-2]
            case "flushed":
                outcome.flushed = columns[-2]
    return outcome


def claim_and_succeed_unlocked(messages: Sequence[dramatiq.Message[Any]], successes: Sequence[Success]) -> Outcome:
    """Claim and record as `claim_and_succeed` does, but leave out the rows that somebody has locked.

    Raises:
        DataError: If one of the results cannot be stored.
    """
    ids = [*(message.message_id for message in messages), *(success.run_id for success in successes)]
    with transaction.atomic():
        unlocked = {run_id for (run_id,) in run_prepared(_LOCK_UNLOCKED, {"ids": array(ids)})}
        return claim_and_succeed(
            [message for message in messages if UUID(message.message_id) in unlocked],
            [success for success in successes if success.run_id in unlocked],
        )


def still_ours(successes: Sequence[Success]) -> set[UUID]:
    """Return the runs among those of the successes that are this worker's: if they were left out, they are locked."""
    return {run_id for (run_id,) in run_prepared(_STILL_OURS, names_of(successes))}


def unclaim(claims: Sequence[Claimed]) -> int:
    """Make runs as they were before they were claimed, of which no thread has begun; return how many were ours still.

    One whose cancellation was asked for meanwhile is cancelled.
    """
    return len(run_prepared(_UNCLAIM, names_of(claims)))


def names_of(claims: Sequence[Claimed]) -> dict[str, str]:
    """Return claims as a statement's `ids`, `attempts` and `workers`."""
    return {
        "ids": array(claim.run_id for claim in claims),
        "attempts": array(claim.attempt for claim in claims),
        "workers": array(claim.worker_id for claim in claims),
    }

"""The statement that claims runs and records successes, many of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import dramatiq
from django.db import DataError, transaction

from project.database.prepared_statements import array, run_prepared
from project.tasks.running.claim import Claim, claim_of
from project.tasks.running.this_worker import this_worker

# A process that was buried claims nothing. The last two lines of `claimed` let a claim be repeated whose reply was lost
# with the connection.
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
           AND EXISTS (SELECT FROM tasks_worker AS worker WHERE worker.id = %(worker)s::uuid)
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
_LOCK = "SELECT id FROM tasks_taskrun WHERE id = ANY (%(ids)s::uuid[]) FOR NO KEY UPDATE SKIP LOCKED"
_STILL_OURS = """
    SELECT run.id
      FROM tasks_taskrun AS run
      JOIN unnest(%(ids)s::uuid[], %(attempts)s::int[], %(workers)s::uuid[]) AS success (id, attempt, worker)
           ON success.id = run.id
     WHERE run.state = 'running' AND run.attempts = success.attempt AND run.worker_id = success.worker
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


@dataclass(frozen=True)
class Written:
    """What became of the messages and successes that were written together.

    Args:
        claims: The claims that were made, by message id.
        kept: The runs whose success was recorded; the others are no longer this worker's, or somebody has locked them.
    """

    claims: dict[str, Claim]
    kept: set[UUID]


def write(messages: Sequence[dramatiq.Message[Any]], successes: Sequence[Success]) -> Written:
    """Claim the runs of messages and record successes, with one statement that waits for rows which are locked.

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


def write_unlocked(messages: Sequence[dramatiq.Message[Any]], successes: Sequence[Success]) -> Written:
    """Claim and record as `write` does, but leave out the rows that somebody has locked.

    Raises:
        DataError: If one of the results cannot be stored.
    """
    ids = [*(message.message_id for message in messages), *(success.claim.run_id for success in successes)]
    with transaction.atomic():
        free = {run_id for (run_id,) in run_prepared(_LOCK, {"ids": array(ids)})}
        return write(
            [message for message in messages if UUID(message.message_id) in free],
            [success for success in successes if success.claim.run_id in free],
        )


def still_ours(successes: Sequence[Success]) -> set[UUID]:
    """Return the runs among those of the successes that are this worker's: if they were left out, they are locked."""
    values = {
        "ids": array(success.claim.run_id for success in successes),
        "attempts": array(success.claim.attempt for success in successes),
        "workers": array(success.claim.worker_id for success in successes),
    }
    return {run_id for (run_id,) in run_prepared(_STILL_OURS, values)}

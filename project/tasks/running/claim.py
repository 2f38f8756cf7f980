"""The claim: what makes a run this worker's, and nobody else's."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from project.tasks.running.this_worker import this_worker
from project.tasks.sending.cause import Cause


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A run that this worker may execute now.

    Args:
        run_id: The run.
        worker_id: This worker's row.
        attempt: The number of the attempt, from 1.
        task: The task's name.
        arguments: Its arguments as JSON values.
        cause: Who sent it.
        started_at: When it was claimed, in seconds since 1970: a number, because most runs never need a date.
        next_steps: What a chain sends when it succeeds.
        begun: When this process learned of it, on its monotonic clock.
    """

    run_id: UUID
    worker_id: UUID
    attempt: int
    task: str
    arguments: dict[str, Any]
    cause: Cause
    started_at: float
    next_steps: list[dict[str, Any]]
    begun: float = field(default_factory=time.monotonic)


def claim_of(*row: Any) -> Claim:
    """Build the claim from the row that the claiming statement returned."""
    run_id, attempt, task, arguments, source, user_id, request_id, started_at, next_steps = row
    return Claim(
        run_id=run_id,
        worker_id=this_worker.id,
        attempt=attempt,
        task=task,
        arguments=json.loads(arguments),
        cause=Cause(source=source, user_id=user_id, request_id=request_id),
        started_at=started_at,
        next_steps=json.loads(next_steps),
    )

"""How one send of a task differs from its policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from project.tasks.policy import FURTHEST, check_priority, check_queue
from project.tasks.sending.cause import Cause


@dataclass(frozen=True, kw_only=True)
class Options:
    """How one send differs from the task's policy.

    Args:
        delay: Do not start before this much time has passed.
        eta: Do not start before this time (aware); not together with `delay`.
        expires: Do not start after this time, or this long after now.
        queue: Another queue.
        priority: Another priority; one below 0 overtakes what waits in the queue.
        run_id: The run's id, for a caller that derives it; a second send of one id is refused.
        cause: Who sends it, where the surrounding request or run is not the answer.
    """

    delay: timedelta | None = None
    eta: datetime | None = None
    expires: timedelta | datetime | None = None
    queue: str | None = None
    priority: int | None = None
    run_id: UUID | None = None
    cause: Cause | None = None

    def __post_init__(self) -> None:
        if self.delay is not None and self.eta is not None:
            raise ValueError("Give a delay or an eta, not both.")
        for name in ("delay", "eta", "expires"):
            moment = getattr(self, name)
            if isinstance(moment, datetime) and moment.tzinfo is None:
                raise ValueError(f"{name} must be an aware datetime: {moment} has no time zone.")
            distance = moment - timezone.now() if isinstance(moment, datetime) else moment
            if distance is not None and abs(distance) > FURTHEST:
                raise ValueError(f"{name} must be within 100 years: {moment} is not.")
        if self.queue is not None:
            check_queue(self.queue)
        if self.priority is not None:
            check_priority(self.priority)

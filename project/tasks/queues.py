"""Pausing and resuming queues."""

from __future__ import annotations

from datetime import datetime

from django.db.models.functions import Now

from project.tasks.audit import Operator, record
from project.tasks.models import PausedQueue


def pause_queue(queue: str, *, by: Operator, reason: str, resume_at: datetime | None = None) -> None:
    """Start no more runs of a queue; those that run go on, and sends wait.

    Args:
        queue: The queue's name.
        by: Who pauses it.
        reason: What others see.
        resume_at: When it is resumed by itself; None waits for `resume_queue`.
    """
    paused = {"reason": reason[:200], "paused_by": by.name, "resume_at": resume_at}
    PausedQueue.objects.update_or_create(queue=queue, defaults=paused)
    record("pause", target=queue, by=by, reason=reason, after={"resume_at": str(resume_at or "")})


def resume_queue(queue: str, *, by: Operator, reason: str = "") -> bool:
    """Start runs of a queue again; tell whether it was paused."""
    was_paused = bool(PausedQueue.objects.filter(queue=queue).delete()[0])
    if was_paused:
        record("resume", target=queue, by=by, reason=reason)
    return was_paused


def resume_due_queues() -> int:
    """Resume queues whose pause has ended; return how many."""
    return PausedQueue.objects.filter(resume_at__lte=Now()).delete()[0]

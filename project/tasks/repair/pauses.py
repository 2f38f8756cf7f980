"""Pausing and resuming queues."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models.functions import Now

from project.database.one_by_one import one_by_one
from project.tasks.models import PausedQueue
from project.tasks.repair.audit import Operator, record
from project.tasks.sending.paused_queues import copy_pauses_on_commit

#: Who resumes a queue when its time has come.
CLOCK: Final = Operator("clock", "system")


def pause_queue(queue: str, *, by: Operator, reason: str, resume_at: datetime | None = None) -> None:
    """Start no more runs of a queue; those that run go on, and sends wait.

    Args:
        queue: The queue's name.
        by: Who pauses it.
        reason: What others see.
        resume_at: When it is resumed by itself; None waits for `resume_queue`.
    """
    paused = {"reason": reason[:200], "paused_by": by.name, "resume_at": resume_at}
    with transaction.atomic():
        PausedQueue.objects.update_or_create(queue=queue, defaults=paused)
        record("pause", target=queue, by=by, reason=reason, after={"resume_at": str(resume_at or "")})
        copy_pauses_on_commit()


def resume_queue(queue: str, *, by: Operator, reason: str = "") -> bool:
    """Start runs of a queue again; tell whether it was paused."""
    with transaction.atomic():
        was_paused = bool(PausedQueue.objects.filter(queue=queue).delete()[0])
        if was_paused:
            record("resume", target=queue, by=by, reason=reason)
            copy_pauses_on_commit()
    return was_paused


def resume_due_queues() -> int:
    """Resume queues whose pause has ended, and record it; return how many."""
    due = PausedQueue.objects.filter(resume_at__lte=Now()).values_list("queue", flat=True)
    return one_by_one("paused queue", list(due), _resume_if_due)


def _resume_if_due(queue: str) -> int:
    with transaction.atomic():
        due = PausedQueue.objects.filter(queue=queue, resume_at__lte=Now())
        paused = due.select_for_update(skip_locked=True).first()
        if paused is None:
            return 0
        before = {"paused_by": paused.paused_by, "reason": paused.reason, "resume_at": str(paused.resume_at)}
        record("resume", target=queue, by=CLOCK, reason="Its pause has ended.", before=before)
        paused.delete()
        copy_pauses_on_commit()
    return 1

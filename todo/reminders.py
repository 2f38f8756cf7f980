"""Whom to remind of what: asked when a reminder is due, of the todo as it is then."""

from datetime import datetime
from uuid import UUID

import structlog
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from project.mail.letters import Letter, write_letter
from todo.models import Todo

log = structlog.get_logger(__name__)


def wants_reminder(todo: Todo) -> bool:
    """Tell whether the owner of a todo is to be reminded of it."""
    return todo.due_at is not None and not todo.completed


def was_reminded(todo: Todo) -> bool:
    """Tell whether the owner of a todo that is still open was reminded of it."""
    return wants_reminder(todo) and todo.reminded_at is not None


def write_reminder(*, todo_id: int, due_at: datetime | None) -> Letter | str:
    """Return the letter that reminds the owner of a todo, or why there is none.

    The todo's row stays locked to the end of the surrounding transaction: whoever moves or completes it does so before
    this or after it.

    Args:
        todo_id: Which todo; it may be gone.
        due_at: For which due time, if only that one is meant.
    """
    # The database's clock, by which the reminder was started.
    todos = Todo.objects.select_related("user").annotate(is_due=Q(due_at__lte=Now()))
    todo = todos.select_for_update(of=("self",)).filter(pk=todo_id).first()
    reason = "the todo is gone" if todo is None else _why_not(todo, due_at)
    if todo is None or reason:
        log.info("reminder_skipped", todo_id=todo_id, reason=reason)
        return reason
    return write_letter(
        "todo/reminder",
        to=todo.user.email,
        subject=f"Due now: {todo.title}",
        todo=todo,
        due_at=timezone.localtime(todo.due_at),
    )


def _why_not(todo: Todo, due_at: datetime | None) -> str:
    reasons = {
        "it was moved": due_at is not None and todo.due_at != due_at,
        "it is completed": todo.completed,
        "its owner was reminded": todo.reminded_at is not None,
        "it is not due": not getattr(todo, "is_due", False),
        "its owner is not active": not todo.user.is_active,
        "its owner has no address": not todo.user.email,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def remember_mail(*, todo_id: int, mail_id: UUID) -> None:
    """Record that the owner is reminded, and by which run, so that completing the todo can still cancel that."""
    Todo.objects.filter(pk=todo_id).update(reminded_at=Now(), reminder_id=mail_id)


def remember_run(todo: Todo, run_id: UUID | None) -> None:
    """Record which run will remind the owner of a todo, and whether they were reminded before."""
    todo.reminder_id = run_id
    Todo.objects.filter(pk=todo.pk).update(reminder_id=run_id, reminded_at=todo.reminded_at)

"""What every door does to todos: the change and its reminder, in one transaction."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db import transaction

from project.mail.tasks import send_email
from project.tasks import RunStateError, UnknownRunError
from todo import reminders, services
from todo.models import Todo
from todo.tasks import remind
from users.models import User


@transaction.atomic
def create_todo(*, user: User, **fields: Any) -> Todo:
    """Write down a todo; its owner is reminded of it when it is due.

    Args:
        user: Its owner.
        fields: See `services.create_todo`, also for what is raised.
    """
    todo = services.create_todo(user=user, **fields)
    plan_reminder(todo)
    return todo


@transaction.atomic
def update_todo(*, todo_id: int, user: User, changes: Mapping[str, Any]) -> Todo:
    """Change some fields of one of a user's own todos; its reminder moves along, or is cancelled.

    Args:
        todo_id: Which todo.
        user: Whose it must be.
        changes: See `services.update_todo`, also for what is raised.
    """
    todo = services.update_todo(todo_id=todo_id, user=user, changes=changes)
    if changes.keys() & {"due_at", "completed"}:
        plan_reminder(todo)
    return todo


@transaction.atomic
def delete_todo(*, todo_id: int, user: User) -> None:
    """Delete one of a user's own todos, and with it its reminder; see `services.delete_todo` for what is raised."""
    cancel_reminder(services.delete_todo(todo_id=todo_id, user=user).reminder_id)


def plan_reminder(todo: Todo) -> None:
    """Have the owner of a todo reminded when it is due, or not any more; the caller has the todo's row locked.

    Doing this again changes nothing: a second reminder of one due time is the first one's run.
    """
    if reminders.was_reminded(todo):
        return
    message = None
    if reminders.wants_reminder(todo):
        message = remind.using(eta=todo.due_at).send(todo_id=todo.pk, due_at=todo.due_at)
    run_id = message.run_id if message else None
    if run_id != todo.reminder_id:
        if cancel_reminder(todo.reminder_id):
            todo.reminded_at = None
        reminders.remember_run(todo, run_id)


def cancel_reminder(run_id: UUID | None) -> bool:
    """Cancel a reminder, or the mail that it has become; one that has ended already stays as it is.

    Returns:
        Whether there was a mail that is never sent now.
    """
    if run_id is None:
        return False
    with suppress(RunStateError, UnknownRunError):
        remind.message(run_id).cancel()
    with suppress(RunStateError, UnknownRunError):
        mail = send_email.message(run_id)
        mail.cancel()
        return mail.ready  # what runs is told to stop, and may have been sent
    return False

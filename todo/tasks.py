"""The todos' background work."""

from django.db import transaction

from project.mail.tasks import send_letter
from project.names import TaskName
from project.tasks import task
from project.values.fields import Instant
from todo import reminders, services
from todo.schemas import CleanupResult, RemindResult


@task(TaskName.TODO_CLEANUP, queue="maintenance", max_retries=3)
def cleanup() -> CleanupResult:
    """Delete the completed todos of all active users."""
    return services.cleanup()


@task(TaskName.TODO_CLEANUP_FOR_USER, max_retries=3, unique=True)
def cleanup_for_user(*, user_id: int) -> CleanupResult:
    """Delete the completed todos of one user."""
    return services.cleanup_for_user(user_id=user_id)


@task(TaskName.TODO_REMIND, max_retries=10, unique=True)
def remind(*, todo_id: int, due_at: Instant | None = None) -> RemindResult:
    """Mail the owner of a todo that it is due, if it still is.

    Args:
        todo_id: Which todo.
        due_at: For which due time; of one that was moved, the former reminder must not stand in for the new one.
    """
    # One transaction: a crash leaves neither a mail that nobody remembers nor a reminder without its mail.
    with transaction.atomic():
        letter = reminders.write_reminder(todo_id=todo_id, due_at=due_at)
        if isinstance(letter, str):
            return RemindResult(reminded=False, reason=letter)
        reminders.remember_mail(todo_id=todo_id, mail_id=send_letter(letter).run_id)
    return RemindResult(reminded=True)

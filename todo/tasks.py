"""The todos' background work."""

from project.names import TaskName
from project.tasks import task
from todo import services
from todo.schemas import CleanupResult


@task(TaskName.TODO_CLEANUP, queue="maintenance", max_retries=3)
def cleanup() -> CleanupResult:
    """Delete the completed todos of all active users."""
    return services.cleanup()


@task(TaskName.TODO_CLEANUP_FOR_USER, max_retries=3, unique=True)
def cleanup_for_user(*, user_id: int) -> CleanupResult:
    """Delete the completed todos of one user."""
    return services.cleanup_for_user(user_id=user_id)

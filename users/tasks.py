"""The users' background work."""

from typing import Annotated

from pydantic import Field

from project.names import TaskName
from project.tasks import task
from users import logins
from users.schemas import CleanupSessionsResult, ClearExpiredLoginsResult
from users.sessions import delete_old_sessions


@task(TaskName.CLEANUP_SESSIONS, queue="maintenance", max_retries=3)
def cleanup_sessions(*, days_old: Annotated[int, Field(ge=0, le=36_500)] = 30) -> CleanupSessionsResult:
    """Delete the refresh sessions that ended more than `days_old` days ago."""
    return delete_old_sessions(days_old=days_old)


@task(TaskName.USERS_CLEAR_EXPIRED_LOGINS, queue="maintenance", max_retries=3)
def clear_expired_logins() -> ClearExpiredLoginsResult:
    """Delete the logins of browsers that have expired."""
    return logins.clear_expired_logins()

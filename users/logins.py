"""Logins of browsers: the rows behind the admin's session cookies."""

from django.contrib.sessions.models import Session
from django.utils import timezone

from project.deletion import delete_in_batches
from users.schemas import ClearExpiredLoginsResult


def clear_expired_logins() -> ClearExpiredLoginsResult:
    """Delete the logins that have expired; Django ignores them, but keeps their rows."""
    expired = Session.objects.filter(expire_date__lt=timezone.now())
    return ClearExpiredLoginsResult(deleted_count=delete_in_batches(expired).deleted)

"""The mail that somebody gets who has just signed up: one, however often it is asked for."""

import structlog
from django.db.models.functions import Now

from project.mail.letters import Letter, write_letter
from users.models import User

log = structlog.get_logger(__name__)


def write_welcome(*, user_id: int) -> Letter | str:
    """Return the letter that welcomes a user, or why there is none.

    Whoever writes it first has marked the user as welcomed, in the surrounding transaction: the letter must be handed
    over in the same one.

    Args:
        user_id: Whom to welcome; they may be gone.
    """
    user = User.objects.filter(pk=user_id).first()
    reason = _why_not(user)
    if user is None or reason:
        log.info("welcome_skipped", user_id=user_id, reason=reason)
        return reason
    if not User.objects.filter(pk=user_id, welcomed_at=None).update(welcomed_at=Now()):
        return "they were welcomed"
    name = user.first_name or user.username
    return write_letter("notifications/welcome", to=user.email, subject=f"Welcome, {name}", name=name)


def _why_not(user: User | None) -> str:
    if user is None:
        return "the user is gone"
    reasons = {
        "they are not active": not user.is_active,
        "they have no address": not user.email,
        "they were welcomed": user.welcomed_at is not None,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")

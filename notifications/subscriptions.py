"""Who wants the weekly digest, and the link with which one stops it without signing in (RFC 8058)."""

from datetime import timedelta
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.core.signing import BadSignature, SignatureExpired, TimestampSigner

from notifications.errors import ExpiredLinkError, ForgedLinkError
from users.models import User

#: People stop a digest when it annoys them, which may be long after it came.
LINK_LIFETIME = timedelta(days=180)
PATH = "digest/unsubscribe"
#: So that no other signed number of the service passes for a link.
_SALT = "notifications.digest.unsubscribe"

log = structlog.get_logger(__name__)


def unsubscribe_url(user_id: int) -> str:
    """Return the link that stops a user's digest."""
    # In the query, under a name whose values no log line shows.
    return f"{settings.SITE_URL}/{PATH}?{urlencode({'token': TimestampSigner(salt=_SALT).sign(str(user_id))})}"


def user_of_token(token: str) -> int:
    """Return whose digest a link stops.

    Raises:
        ForgedLinkError: If the link is not ours.
        ExpiredLinkError: If it is too old.
    """
    try:
        return int(TimestampSigner(salt=_SALT).unsign(token, max_age=LINK_LIFETIME))
    except SignatureExpired:
        raise ExpiredLinkError from None
    except BadSignature:
        raise ForgedLinkError from None


def unsubscribe(user_id: int) -> None:
    """Stop a user's digest; of one who is gone, nothing."""
    stopped = User.objects.filter(pk=user_id, weekly_digest=True).update(weekly_digest=False)
    log.info("digest_unsubscribed", user_id=user_id, was_subscribed=bool(stopped))

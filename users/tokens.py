"""Access tokens: short-lived and signed; each names the session it came from, and ends with it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
from django.conf import settings

from users.errors import UnauthenticatedError

LIFETIME = timedelta(minutes=15)
_ALGORITHM = "HS256"
_TYPE = "at+jwt"  # RFC 9068: no other kind of token can pass for an access token


@dataclass(frozen=True, kw_only=True)
class Access:
    """What an access token says.

    Args:
        user_id: Who signs requests with it.
        session_id: The session it came from, if it came from one.
    """

    user_id: int
    session_id: UUID | None


def create_access_token(*, user_id: int, session_id: UUID | None = None) -> str:
    """Sign an access token that is good for 15 minutes, or until its session ends.

    Args:
        user_id: Who will sign requests with it.
        session_id: The session it ends with; without one, nothing but time and the user's deactivation ends it.
    """
    now = datetime.now(UTC)
    claims = {"sub": str(user_id), "iat": now, "exp": now + LIFETIME, "typ": _TYPE}
    if session_id is not None:
        claims["sid"] = str(session_id)
    return jwt.encode(claims, settings.SECRET_KEY, algorithm=_ALGORITHM)


def read_access_token(token: str) -> Access:
    """Return what an access token says.

    Raises:
        UnauthenticatedError: If it is not ours, not an access token, or has expired.
    """
    try:
        claims = jwt.decode(
            token,
            settings.SECRET_KEY,
            algorithms=[_ALGORITHM],
            options={"require": ["exp", "iat", "sub", "typ"]},
        )
    except jwt.ExpiredSignatureError:
        raise UnauthenticatedError("Token has expired") from None
    except jwt.MissingRequiredClaimError as error:
        raise UnauthenticatedError(f"Token payload missing '{error.claim}' field") from None
    except jwt.InvalidTokenError:
        raise UnauthenticatedError("Invalid token") from None
    if claims["typ"] != _TYPE or not claims["sub"].isdecimal():
        raise UnauthenticatedError("Invalid token")
    return Access(user_id=int(claims["sub"]), session_id=_session_id(claims.get("sid")))


def _session_id(claim: object) -> UUID | None:
    try:
        return None if claim is None else UUID(str(claim))
    except ValueError:
        raise UnauthenticatedError("Invalid token") from None

"""Access tokens: short-lived, signed, checked without a query."""

from datetime import UTC, datetime, timedelta

import jwt
from django.conf import settings

from users.errors import UnauthenticatedError

LIFETIME = timedelta(minutes=15)
_ALGORITHM = "HS256"
_TYPE = "at+jwt"  # RFC 9068: no other kind of token can pass for an access token


def create_access_token(*, user_id: int) -> str:
    """Sign an access token that is good for 15 minutes."""
    now = datetime.now(UTC)
    claims = {"sub": str(user_id), "iat": now, "exp": now + LIFETIME, "typ": _TYPE}
    return jwt.encode(claims, settings.SECRET_KEY, algorithm=_ALGORITHM)


def read_access_token(token: str) -> int:
    """Return the id of the user an access token was made for.

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
    return int(claims["sub"])

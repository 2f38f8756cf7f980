"""Refresh tokens: issued at sign-in, good once, exchanged for the next one."""

import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from uuid import UUID

import structlog
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from project.database.compiled import CompiledQuery, columns_of, given
from project.deletion import delete_in_batches
from users.errors import SessionNotFoundError, UnauthenticatedError
from users.models import RefreshSession, User
from users.schemas import CleanupSessionsResult

LIFETIME = timedelta(days=30)
MOST_LISTED = 200
_TOKEN_BYTES = 32
_FAMILY_BYTES = 16
#: What must be known of a session to see whether it is good, and all columns of its user.
_SESSION = columns_of(RefreshSession, only={"id", "auth_hash", "expires_at", "revoked_at"})
_USER = columns_of(User)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Client:
    """Where a sign-in or refresh came from.

    Args:
        user_agent: What the client calls itself.
        ip_address: The address it came from, if known.
    """

    user_agent: str = ""
    ip_address: str | None = None


def start_session(*, user: User, client: Client) -> tuple[RefreshSession, str]:
    """Open a session and return it with its first refresh token; only hashes of it are kept."""
    token = secrets.token_bytes(_TOKEN_BYTES)
    session = RefreshSession.objects.create(
        user=user,
        auth_hash=user.get_session_auth_hash(),
        family_hash=_hash(token[:_FAMILY_BYTES]),
        token_hash=_hash(token),
        user_agent=client.user_agent,
        ip_address=client.ip_address,
        expires_at=timezone.now() + LIFETIME,
    )
    return session, _written(token)


def rotate_token(*, token: str, client: Client) -> tuple[RefreshSession, str]:
    """Exchange a refresh token for the next one of its session, and return both.

    Of two requests with the same token the row lock lets one through; the other presents a token that was
    rotated away by then.

    Raises:
        UnauthenticatedError: If the token is unknown, expired, revoked or used before, or its user is inactive or has
            another password by now.
    """
    old = _bytes(token)
    new = old[:_FAMILY_BYTES] + secrets.token_bytes(_TOKEN_BYTES - _FAMILY_BYTES)
    # Refusals are raised after the commit: revoking the family must outlive the error.
    with transaction.atomic():
        session = _lock(old)
        refusal = _refusal(session, old)
        if refusal is None:
            session.token_hash = _hash(new)
            session.rotations += 1
            session.last_used_at = timezone.now()
            session.user_agent, session.ip_address = client.user_agent, client.ip_address
            session.save()
    if refusal is not None:
        raise refusal
    return session, _written(new)


def revoke_token(*, token: str, user: User) -> None:
    """End the session of a user's refresh token.

    Raises:
        UnauthenticatedError: If the token is unknown, somebody else's, or no longer good.
    """
    presented = _bytes(token)
    with transaction.atomic():
        session = _lock(presented)
        if session.user_id != user.pk:
            raise UnauthenticatedError("Invalid refresh token")
        refusal = _refusal(session, presented)
        _revoke(session)
    if refusal is not None:
        raise refusal


def user_of_session(session_id: UUID, *, user_id: int) -> User:
    """Return the user who is signed in with a session; one query.

    Raises:
        UnauthenticatedError: If the session is over, or its user is gone or inactive.
    """
    rows = _SESSION_WITH_USER.rows(session_id=session_id, user_id=user_id)
    if not rows:
        raise UnauthenticatedError("User not found")
    session = RefreshSession.from_db(DEFAULT_DB_ALIAS, _SESSION, rows[0][: len(_SESSION)])
    session.user = User.from_db(DEFAULT_DB_ALIAS, _USER, rows[0][len(_SESSION) :])
    if not (session.is_active and session.fits_password):
        raise UnauthenticatedError("Session has ended")
    return session.user


def active_user(user_id: int) -> User:
    """Return a user who may call; one query.

    Raises:
        UnauthenticatedError: If the user is gone or inactive.
    """
    rows = _ACTIVE_USER.rows(user_id=user_id)
    if not rows:
        raise UnauthenticatedError("User not found")
    return User.from_db(DEFAULT_DB_ALIAS, _USER, rows[0])


def list_sessions(*, user: User) -> list[RefreshSession]:
    """Return where a user is signed in, newest first; no more than `MOST_LISTED`."""
    return list(_active(user).order_by("-id")[:MOST_LISTED])


def revoke_session(session_id: UUID, *, user: User) -> None:
    """End one of a user's own sessions; one that is over already stays so.

    Raises:
        SessionNotFoundError: If there is no such session, or it is somebody else's.
    """
    sessions = RefreshSession.objects.filter(pk=session_id, user=user)
    if not sessions.exists():
        raise SessionNotFoundError
    revoke_sessions(sessions)


def revoke_sessions_of(user: User) -> int:
    """End every session of a user and return how many were still active."""
    return revoke_sessions(_active(user))


def revoke_sessions(sessions: QuerySet[RefreshSession]) -> int:
    """End those sessions that are not ended yet, and return how many."""
    return sessions.filter(revoked_at=None).update(revoked_at=timezone.now())


def delete_old_sessions(*, days_old: int) -> CleanupSessionsResult:
    """Delete the sessions that expired or were revoked more than `days_old` days ago."""
    cutoff: datetime = timezone.now() - timedelta(days=days_old)
    ended = RefreshSession.objects.filter(Q(expires_at__lt=cutoff) | Q(revoked_at__lt=cutoff))
    return CleanupSessionsResult(deleted_count=delete_in_batches(ended).deleted)


_ACTIVE_USER = CompiledQuery(lambda: User.objects.filter(pk=given("user_id"), is_active=True).values_list(*_USER))
_SESSION_WITH_USER = CompiledQuery(
    lambda: (
        RefreshSession.objects.filter(pk=given("session_id"), user=given("user_id"), user__is_active=True)
        .order_by()
        .values_list(*_SESSION, *(f"user__{name}" for name in _USER))
    )
)


def _active(user: User) -> QuerySet[RefreshSession]:
    return RefreshSession.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now())


def _refusal(session: RefreshSession, presented: bytes) -> UnauthenticatedError | None:
    """Say why a known family's token is not good, and revoke the family if somebody else may hold it."""
    if not session.is_active:
        return UnauthenticatedError("Refresh token expired or revoked")
    if not compare_digest(session.token_hash, _hash(presented)):
        _revoke(session)
        _log.warning("a used refresh token was presented again: session revoked", **_names(session))
        return UnauthenticatedError("Refresh token expired or revoked")
    if not (session.user.is_active and session.fits_password):
        _revoke(session)
        return UnauthenticatedError("Refresh token expired or revoked")
    return None


def _names(session: RefreshSession) -> dict[str, str | int | None]:
    return {"session_id": str(session.pk), "user_id": session.user_id, "ip_address": session.ip_address}


def _lock(token: bytes) -> RefreshSession:
    sessions = RefreshSession.objects.select_related("user").select_for_update(of=("self",))
    session = sessions.filter(family_hash=_hash(token[:_FAMILY_BYTES])).first()
    if session is None:
        raise UnauthenticatedError("Invalid refresh token")
    return session


def _revoke(session: RefreshSession) -> None:
    if session.revoked_at is None:
        session.revoked_at = timezone.now()
        session.save(update_fields=["revoked_at"])


def _hash(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def _written(token: bytes) -> str:
    return urlsafe_b64encode(token).rstrip(b"=").decode()


def _bytes(token: str) -> bytes:
    try:
        decoded = urlsafe_b64decode(token + "=")
    except ValueError:
        decoded = b""
    if len(decoded) != _TOKEN_BYTES:
        raise UnauthenticatedError("Invalid refresh token")
    return decoded

"""Who may call the API."""

from uuid import UUID

import structlog
from django.http import HttpRequest
from ninja.security import HttpBearer

from users.models import User
from users.services import signed_in


class SignedIn(HttpRequest):
    """A request that passed `Bearer`; its session is None for a token that was made without one."""

    auth: User
    session_id: UUID | None


class Bearer(HttpBearer):
    """Accepts an access token in the `Authorization` header."""

    def authenticate(self, request: HttpRequest, token: str) -> User:
        """Return the token's user, who also becomes `request.user`: what the request sends is sent by them."""
        user, session_id = signed_in(token)
        request.user = user
        request.session_id = session_id  # type: ignore[attr-defined]
        structlog.contextvars.bind_contextvars(user_id=user.pk)
        return user


bearer = Bearer()

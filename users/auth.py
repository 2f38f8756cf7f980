"""Who may call the API."""

import structlog
from django.http import HttpRequest
from ninja.security import HttpBearer

from users.models import User
from users.services import user_of


class SignedIn(HttpRequest):
    """A request that passed `Bearer`."""

    auth: User


class Bearer(HttpBearer):
    """Accepts an access token in the ``Authorization`` header."""

    def authenticate(self, request: HttpRequest, token: str) -> User:
        """Return the token's user, who also becomes ``request.user``: what the request sends is sent by them."""
        user = user_of(token)
        request.user = user
        structlog.contextvars.bind_contextvars(user_id=user.pk)
        return user


bearer = Bearer()

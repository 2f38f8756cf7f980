"""Sign-up, sign-in and the users themselves over HTTP."""

import math
from http import HTTPStatus
from typing import cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from project.values.fields import Id
from project.web.client_address import client_address
from project.web.errors import refusals, refuse
from project.web.throttle import Throttle, Window, sign_in_limit, signed_in_user
from users import services, sessions
from users.auth import SignedIn, bearer
from users.errors import TooManyGuessesError
from users.models import RefreshSession, User
from users.pages import SIGN_INS, SIGN_UPS
from users.schemas import AccountChanges, Credentials, RefreshTokenIn, Revoked, SessionOut, SignUp, TokenPair, UserOut
from users.sessions import Client
from users.signing_up import sign_up

_REFRESHES = Window("refresh", limit=sign_in_limit)
_REVOCATIONS = Window("revoke", limit=sign_in_limit)
_REVOCATIONS_BY_USER = Window("revoke-by-user", limit=sign_in_limit)

auth_router = Router(tags=["auth"])
users_router = Router(tags=["users"])


@auth_router.post(
    "/token",
    throttle=Throttle(SIGN_INS),
    response={200: TokenPair, **refusals(400, 401, 422, 429)},
    operation_id="issue_token",
)
def issue_token(request: HttpRequest, credentials: Credentials) -> TokenPair:
    """Sign in with a name and a password."""
    access, refresh = services.sign_in(
        username=credentials.username, password=credentials.password, client=_client(request)
    )
    return TokenPair(access_token=access, refresh_token=refresh)


@auth_router.post(
    "/token/refresh",
    throttle=Throttle(_REFRESHES),
    response={200: TokenPair, **refusals(400, 401, 422, 429)},
    operation_id="refresh_token",
)
def refresh_token(request: HttpRequest, body: RefreshTokenIn) -> TokenPair:
    """Exchange a refresh token for a new pair; presenting it again ends the whole session."""
    access, refresh = services.refresh(token=body.refresh_token, client=_client(request))
    return TokenPair(access_token=access, refresh_token=refresh)


@auth_router.post(
    "/token/revoke",
    auth=bearer,
    throttle=[Throttle(_REVOCATIONS), Throttle(_REVOCATIONS_BY_USER, by=signed_in_user)],
    response={200: None, **refusals(400, 401, 422, 429)},
    operation_id="revoke_token",
)
def revoke_token(request: SignedIn, body: RefreshTokenIn) -> None:
    """End the session of one of your own refresh tokens."""
    sessions.revoke_token(token=body.refresh_token, user=request.auth)


@auth_router.get(
    "/sessions", auth=bearer, response={200: list[SessionOut], **refusals(401)}, operation_id="list_sessions"
)
def list_sessions(request: SignedIn) -> list[RefreshSession]:
    """List where you are signed in, newest first."""
    return sessions.list_sessions(user=request.auth)


@auth_router.delete("/sessions", auth=bearer, response={200: Revoked, **refusals(401)}, operation_id="revoke_sessions")
def revoke_sessions(request: SignedIn) -> Revoked:
    """Sign out everywhere, here too: no token that you were given before is good any more."""
    return Revoked(revoked=sessions.revoke_sessions_of(request.auth))


@auth_router.delete(
    "/sessions/{session_id}",
    auth=bearer,
    response={204: None, **refusals(401, 404, 422)},
    operation_id="revoke_session",
)
def revoke_session(request: SignedIn, session_id: UUID) -> Status[None]:
    """Sign out of one of your sessions."""
    sessions.revoke_session(session_id, user=request.auth)
    return Status(204, None)


@users_router.post(
    "/",
    throttle=Throttle(SIGN_UPS),
    response={200: UserOut, **refusals(400, 409, 422, 429)},
    operation_id="create_user",
)
def create_user(request: HttpRequest, body: SignUp) -> User:  # noqa: ARG001 (ninja goes by that name)
    """Sign up."""
    return sign_up(**body.model_dump())


@users_router.get("/me", auth=bearer, response={200: UserOut, **refusals(401)}, operation_id="get_me")
def get_me(request: SignedIn) -> User:
    """Return who you are."""
    return request.auth


@users_router.patch("/me", auth=bearer, response={200: UserOut, **refusals(400, 401, 422)}, operation_id="update_me")
def update_me(request: SignedIn, body: AccountChanges) -> User:
    """Change what you get by mail."""
    return services.set_weekly_digest(user=request.auth, wanted=body.weekly_digest)


@users_router.get(
    "/{user_id}", auth=bearer, response={200: UserOut, **refusals(401, 403, 404, 422)}, operation_id="get_user"
)
def get_user(request: SignedIn, user_id: Id) -> User:
    """Return any user; for staff who may view users."""
    return services.get_user(user_id=user_id, asked_by=request.auth)


def answer_too_many_guesses(_request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    """Answer like a throttle."""
    response = refuse(HTTPStatus.TOO_MANY_REQUESTS, str(error))
    response["Retry-After"] = str(math.ceil(cast("TooManyGuessesError", error).wait))
    return response


def _client(request: HttpRequest) -> Client:
    agent = request.headers.get("User-Agent", "").replace("\x00", "")[:300]
    return Client(user_agent=agent, ip_address=client_address(request))

"""What goes in and out of the users' HTTP API and tasks."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import CharField
from ninja import Schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from project.values.fields import Body, NoNul
from users.models import RefreshSession, User


def _username(value: str) -> str:
    return _clean(User.username.field, User.normalize_username(value))


def _email(value: str) -> str:
    return _clean(User.email.field, User.objects.normalize_email(value))


def _clean(field: "CharField[str, str]", value: str) -> str:
    try:
        return str(field.clean(value, None))
    except ValidationError as error:
        raise ValueError(" ".join(error.messages)) from None


Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=150), NoNul]
Password = Annotated[str, StringConstraints(min_length=1, max_length=128), NoNul]
RefreshToken = Annotated[str, StringConstraints(min_length=1, max_length=200), NoNul]


class SignUp(Body):
    """A new user."""

    username: Annotated[str, Field(min_length=1, max_length=150), AfterValidator(_username)]
    email: Annotated[str, Field(max_length=254, json_schema_extra={"format": "email"}), AfterValidator(_email)]
    password: Password
    first_name: Name = ""
    last_name: Name = ""


class UserOut(Schema):
    """A user, as they and staff see them."""

    id: int
    username: str
    email: str
    first_name: str
    last_name: str
    is_staff: bool
    is_superuser: bool
    weekly_digest: bool


class AccountChanges(Body):
    """What to change about oneself."""

    model_config = ConfigDict(extra="forbid")

    weekly_digest: bool = Field(description="Whether you get a mail about your todos on Mondays.")


class Credentials(Body):
    """What a user signs in with."""

    username: Annotated[str, StringConstraints(max_length=150), NoNul]
    password: Annotated[str, StringConstraints(max_length=128), NoNul]


class RefreshTokenIn(Body):
    """A refresh token to exchange or to revoke."""

    refresh_token: RefreshToken


class TokenPair(Schema):
    """An access token for the next 15 minutes and a refresh token that is good once."""

    access_token: str
    refresh_token: str


class SessionOut(Schema):
    """Where somebody is signed in."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str
    ip_address: str | None
    current: bool = Field(description="Whether the request came from this session.")

    @staticmethod
    def resolve_current(session: RefreshSession, context: dict[str, Any]) -> bool:
        """Compare it with the one that the request's token names."""
        return bool(session.pk == context["request"].session_id)


class Revoked(Schema):
    """How many sessions were ended."""

    revoked: int


class CleanupSessionsResult(BaseModel):
    """What a cleanup of refresh sessions came to."""

    model_config = ConfigDict(frozen=True)

    deleted_count: int


class ClearExpiredLoginsResult(BaseModel):
    """What a cleanup of expired logins came to."""

    model_config = ConfigDict(frozen=True)

    deleted_count: int

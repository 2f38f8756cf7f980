"""What users do: sign up, sign in, stay signed in."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F

from users.errors import (
    PermissionRequiredError,
    StaffRequiredError,
    TakenError,
    UnauthenticatedError,
    UserNotFoundError,
    WeakPasswordError,
)
from users.guessing import begin_guess
from users.models import NAME_CONSTRAINT, User
from users.sessions import (
    Client,
    active_user,
    revoke_sessions_of,
    rotate_token,
    start_session,
    user_of_session,
)
from users.tokens import create_access_token, read_access_token


def register(*, username: str, email: str, password: str, first_name: str = "", last_name: str = "") -> User:
    """Create a user.

    Raises:
        WeakPasswordError: If the password does not pass the validators.
        TakenError: If the name or the e-mail address is somebody else's.
    """
    user = User(username=username, email=email, first_name=first_name, last_name=last_name)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise WeakPasswordError(error.messages) from None
    user.set_password(password)
    try:
        # No look before the insert: of two requests at once the constraint lets one through.
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise TakenError(_what_is_taken(error)) from None
    return user


def update_profile(*, user_id: int, changes: Mapping[str, Any]) -> User:
    """Change what people may change about themselves.

    Args:
        user_id: Who.
        changes: The new values by field; other fields stay as they are.

    Raises:
        TakenError: If the e-mail address is somebody else's.
    """
    user = User.objects.get(pk=user_id)
    for field, value in changes.items():
        setattr(user, field, value)
    try:
        with transaction.atomic():
            user.save(update_fields=list(changes))
    except IntegrityError as error:
        raise TakenError(_what_is_taken(error)) from None
    return user


@transaction.atomic
def sign_out_everywhere(user: User) -> None:
    """End every session of a user: in browsers, and of what uses the API for them."""
    User.objects.filter(pk=user.pk).update(sign_outs=F("sign_outs") + 1)
    revoke_sessions_of(user)


def _what_is_taken(error: IntegrityError) -> str:
    constraint: str = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""
    return "Username is already taken" if _is_about_the_name(constraint) else "Email is already taken"


def _is_about_the_name(constraint: str) -> bool:
    return constraint == NAME_CONSTRAINT or "_username_" in constraint


def user_with_password(*, username: str, password: str, address: str | None) -> User:
    """Return the user of that name and password.

    An unknown name, a wrong password and an inactive user take the same time and get the same answer: Django's
    `ModelBackend` hashes the password in each case.

    Args:
        username: The name.
        password: The password.
        address: Where the attempt comes from.

    Raises:
        UnauthenticatedError: In all three cases.
        TooManyGuessesError: If too many sign-ins under that name have failed; the password is not looked at then.
    """
    guess = begin_guess(username, address=address)
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        raise UnauthenticatedError("Invalid username or password")
    guess.was_right()
    return user


def sign_in(*, username: str, password: str, client: Client) -> tuple[str, str]:
    """Open a session and return its access and its refresh token.

    Raises:
        UnauthenticatedError: If nobody active has that name and password.
        TooManyGuessesError: If too many sign-ins under that name have failed.
    """
    user = user_with_password(username=username, password=password, address=client.ip_address)
    session, token = start_session(user=user, client=client)
    return create_access_token(user_id=user.pk, session_id=session.pk), token


def refresh(*, token: str, client: Client) -> tuple[str, str]:
    """Exchange a refresh token for a new access and a new refresh token.

    Raises:
        UnauthenticatedError: If the refresh token is not good.
    """
    session, token = rotate_token(token=token, client=client)
    return create_access_token(user_id=session.user_id, session_id=session.pk), token


def signed_in(access_token: str) -> tuple[User, UUID | None]:
    """Return the active user an access token belongs to, and the session they signed in with.

    A token that was made without a session is good for as long as its user is active.

    Raises:
        UnauthenticatedError: If the token is not good, its session is over, or its user is gone or inactive.
    """
    access = read_access_token(access_token)
    if access.session_id is not None:
        return user_of_session(access.session_id, user_id=access.user_id), access.session_id
    return active_user(access.user_id), None


def set_weekly_digest(*, user: User, wanted: bool) -> User:
    """Say whether a user wants the weekly digest."""
    user.weekly_digest = wanted
    user.save(update_fields=["weekly_digest"])
    return user


def get_user(*, user_id: int, asked_by: User) -> User:
    """Return any user, to staff who may view users in the admin.

    Raises:
        StaffRequiredError: If who asks is not staff.
        PermissionRequiredError: If they are, without that permission.
        UserNotFoundError: If there is no such user.
    """
    if not asked_by.is_staff:
        raise StaffRequiredError
    if not (asked_by.has_perm("users.view_user") or asked_by.has_perm("users.change_user")):
        raise PermissionRequiredError("Permission to view users required")
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise UserNotFoundError
    return user

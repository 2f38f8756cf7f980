"""What the users domain refuses, and why."""

from collections.abc import Sequence


class UsersError(Exception):
    """Base of the domain's errors; the message is meant for the caller."""


class WeakPasswordError(UsersError):
    """The password does not pass the validators.

    Args:
        reasons: One sentence for each validator that refused it.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(" ".join(reasons))


class TakenError(UsersError):
    """Another user has that name or e-mail address, in whatever case."""


class UserNotFoundError(UsersError):
    """There is no such user."""

    def __init__(self) -> None:
        super().__init__("User not found")


class SessionNotFoundError(UsersError):
    """The user has no such session."""

    def __init__(self) -> None:
        super().__init__("Session not found")


class StaffRequiredError(UsersError):
    """Only staff may do this."""

    def __init__(self) -> None:
        super().__init__("Staff access required")


class PermissionRequiredError(UsersError):
    """Staff may do this only with a permission that they do not have."""


class UnauthenticatedError(UsersError):
    """The caller did not prove who they are: wrong password, or a token that is not good (any more)."""


class TooManyGuessesError(UsersError):
    """Too many sign-ins to one account have failed.

    Args:
        wait: Seconds until it can be tried again.
    """

    def __init__(self, wait: float) -> None:
        super().__init__("Too many requests")
        self.wait = wait

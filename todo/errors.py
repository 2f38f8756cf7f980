"""What the todo domain refuses, and why."""

from datetime import UTC, datetime


class TodoError(Exception):
    """Base of the domain's errors; the message is meant for the caller."""


class TodoNotFoundError(TodoError):
    """There is no such todo."""

    def __init__(self) -> None:
        super().__init__("Todo not found")


class TodoForbiddenError(TodoError):
    """The todo is somebody else's."""

    def __init__(self) -> None:
        super().__init__("This todo belongs to another user")


class DueTimeError(TodoError):
    """Nobody can be reminded at that time."""

    def __init__(self, due_at: datetime) -> None:
        when = f"{due_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        super().__init__(f"A due time must be in the future, within 100 years; {when} is not")

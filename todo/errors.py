"""What the todo domain refuses, and why."""


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

"""What goes in and out of the todos' HTTP API and tasks."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from project.values.fields import Body, Instant, NoNul

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), NoNul]
Due = Annotated[Instant, AfterValidator(lambda due_at: due_at.astimezone(UTC))]
Description = Annotated[str, StringConstraints(max_length=1000), NoNul]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class NewTodo(Body):
    """A todo to write down."""

    title: Title
    description: Description = ""
    completed: bool = False
    due_at: Due | None = Field(None, description="When you get a mail about it; must be in the future.")


class TodoChanges(Body):
    """What to change; what is left out stays. The defaults only mark what was left out."""

    model_config = ConfigDict(extra="forbid")

    title: Title = Field(default="", json_schema_extra=_without_default)
    description: Description = Field(default="", json_schema_extra=_without_default)
    completed: bool = Field(default=False, json_schema_extra=_without_default)
    due_at: Due | None = Field(
        default=None,
        json_schema_extra=_without_default,
        description="When you get a mail about it; must be in the future. Null: never.",
    )


class Answer(BaseModel):
    """What goes out, read from a row or its columns.

    Not ninja's `Schema`: that reads every attribute with Python code of its own.
    """

    model_config = ConfigDict(from_attributes=True)


class TodoOut(Answer):
    """A todo."""

    id: int
    user_id: int
    title: str
    description: str
    completed: bool
    due_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Page(BaseModel):
    """Which todos to list."""

    completed: bool | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0


class TodoPage(Answer):
    """Some todos, and how many there are on all pages together."""

    todos: list[TodoOut]
    count: int


class Sent(Answer):
    """A task that was sent."""

    task_id: UUID
    status_url: str


class CleanupResult(BaseModel):
    """What a cleanup came to.

    Args:
        users_processed: Active users whose completed todos were looked for.
        todos_deleted: Todos that are gone.
        errors: Batches the database refused to delete; the next cleanup tries them again.
    """

    model_config = ConfigDict(frozen=True)

    users_processed: int
    todos_deleted: int
    errors: int = 0


class RemindResult(BaseModel):
    """What became of a reminder.

    Args:
        reminded: Whether a mail was handed over.
        reason: Why not, if not.
    """

    model_config = ConfigDict(frozen=True)

    reminded: bool
    reason: str = ""

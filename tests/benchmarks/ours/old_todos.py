"""The list of todos as ninja writes it by itself: model instances become schemas one attribute at a time."""

from datetime import datetime

from ninja import Query, Router, Schema

from todo.models import Todo
from todo.schemas import Page
from users.auth import SignedIn, bearer

router = Router(tags=["benchmark"], auth=bearer)


class OldTodoOut(Schema):
    """A todo."""

    id: int
    user_id: int
    title: str
    description: str
    completed: bool
    due_at: datetime | None
    created_at: datetime
    updated_at: datetime


class OldTodoPage(Schema):
    """Some todos, and how many there are on all pages together."""

    todos: list[OldTodoOut]
    count: int


@router.get("", response=OldTodoPage)
def list_todos(request: SignedIn, page: Query[Page]) -> dict[str, object]:
    """List your todos, newest first."""
    todos = Todo.objects.filter(user=request.auth)
    todos = todos if page.completed is None else todos.filter(completed=page.completed)
    return {"todos": list(todos[page.offset : page.offset + page.limit]), "count": todos.count()}

"""What can be done with todos."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from project.database.compiled import CompiledQuery, given
from project.deletion import delete_in_batches
from todo.errors import TodoForbiddenError, TodoNotFoundError
from todo.models import Todo
from todo.schemas import CleanupResult, Page, TodoOut, TodoPage
from users.models import User


def list_todos(*, user: User, page: Page) -> TodoPage:
    """Return some of a user's todos, newest first, and how many there are on all pages."""
    lists = _LISTS[page.completed]
    rows = lists.page.rows(user_id=user.pk, limit=page.limit, offset=page.offset)
    ((count,),) = lists.count.rows(user_id=user.pk)
    return TodoPage.model_validate({"todos": [dict(zip(_SHOWN, row, strict=True)) for row in rows], "count": count})


def create_todo(*, user: User, title: str, description: str = "", completed: bool = False) -> Todo:
    """Write down a todo."""
    return Todo.objects.create(user=user, title=title, description=description, completed=completed)


def get_todo(*, todo_id: int, user: User) -> Todo:
    """Return one of a user's own todos.

    Raises:
        TodoNotFoundError: If there is no such todo.
        TodoForbiddenError: If it is somebody else's.
    """
    return _own(Todo.objects.all(), todo_id=todo_id, user=user)


@transaction.atomic
def update_todo(*, todo_id: int, user: User, changes: Mapping[str, Any]) -> Todo:
    """Change some fields of one of a user's own todos.

    Args:
        todo_id: Which todo.
        user: Whose it must be.
        changes: The new values by field; other fields stay as they are.

    Raises:
        TodoNotFoundError: If there is no such todo.
        TodoForbiddenError: If it is somebody else's.
    """
    # Locked, so that a cleanup either deletes it before this or leaves it alone.
    todo = _own(Todo.objects.select_for_update(), todo_id=todo_id, user=user)
    for field, value in changes.items():
        setattr(todo, field, value)
    todo.save(update_fields=[*changes, "updated_at"])
    return todo


@transaction.atomic
def delete_todo(*, todo_id: int, user: User) -> None:
    """Delete one of a user's own todos.

    Raises:
        TodoNotFoundError: If there is no such todo.
        TodoForbiddenError: If it is somebody else's.
    """
    _own(Todo.objects.select_for_update(), todo_id=todo_id, user=user).delete()


def count_completed() -> int:
    """Return how many todos a cleanup of all active users would delete now."""
    return Todo.objects.filter(completed=True, user__is_active=True).count()


def cleanup() -> CleanupResult:
    """Delete the completed todos of all active users."""
    return _clean_up(Todo.objects.all(), User.objects.all())


def cleanup_for_user(*, user_id: int) -> CleanupResult:
    """Delete the completed todos of one user; of an inactive or unknown user, none."""
    return _clean_up(Todo.objects.filter(user=user_id), User.objects.filter(pk=user_id))


@dataclass(frozen=True)
class _List:
    """What is asked for a list of todos.

    Args:
        page: Some of them.
        count: How many there are.
    """

    page: CompiledQuery
    count: CompiledQuery


def _list(completed: bool | None) -> _List:
    def todos() -> QuerySet[Todo]:
        own = Todo.objects.filter(user=given("user_id"))
        return own if completed is None else own.filter(completed=completed)

    return _List(
        page=CompiledQuery(lambda: todos().values_list(*_SHOWN), around="{} LIMIT %(limit)s OFFSET %(offset)s"),
        count=CompiledQuery(lambda: todos().order_by().values_list("pk"), around="SELECT count(*) FROM ({}) AS todo"),
    )


_SHOWN = list(TodoOut.model_fields)
_LISTS = {completed: _list(completed) for completed in (None, True, False)}


def _clean_up(todos: QuerySet[Todo], users: QuerySet[User]) -> CleanupResult:
    active = users.filter(is_active=True)
    deletion = delete_in_batches(todos.filter(completed=True), only=Q(user__in=active))
    return CleanupResult(users_processed=active.count(), todos_deleted=deletion.deleted, errors=deletion.errors)


def _own(todos: QuerySet[Todo], *, todo_id: int, user: User) -> Todo:
    todo = todos.filter(pk=todo_id).first()
    if todo is None:
        raise TodoNotFoundError
    if todo.user_id != user.pk:
        raise TodoForbiddenError
    return todo

"""What can be done with todos."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from project.database.compiled import CompiledQuery, given
from project.deletion import delete_in_batches
from project.values.fields import LONGEST
from todo.errors import DueTimeError, TodoForbiddenError, TodoNotFoundError
from todo.models import Todo
from todo.schemas import CleanupResult, Page, TodoOut, TodoPage
from users.models import User


def list_todos(*, user: User, page: Page) -> TodoPage:
    """Return some of a user's todos, newest first, and how many there are on all pages."""
    lists = _LISTS[page.completed]
    rows = lists.page.rows(user_id=user.pk, limit=page.limit, offset=page.offset)
    ((count,),) = lists.count.rows(user_id=user.pk)
    return TodoPage.model_validate({"todos": [dict(zip(_SHOWN, row, strict=True)) for row in rows], "count": count})


def create_todo(
    *, user: User, title: str, description: str = "", completed: bool = False, due_at: datetime | None = None
) -> Todo:
    """Write down a todo.

    Raises:
        DueTimeError: If nobody can be reminded at its due time.
    """
    check_due(due_at)
    return Todo.objects.create(user=user, title=title, description=description, completed=completed, due_at=due_at)


def check_due(due_at: datetime | None) -> None:
    """Check that somebody can be reminded at a new due time.

    Raises:
        DueTimeError: If it has passed, or nobody will see it.
    """
    if due_at is not None and not timedelta(0) < due_at - timezone.now() <= LONGEST:
        raise DueTimeError(due_at)


def find_todos(*, user: User, completed: bool | None, words: str) -> QuerySet[Todo]:
    """Return a user's todos whose title or description contains some words, in whatever case, newest first."""
    todos = Todo.objects.filter(user=user)
    todos = todos if completed is None else todos.filter(completed=completed)
    return todos.filter(Q(title__icontains=words) | Q(description__icontains=words)) if words else todos


def count_todos(*, user: User) -> tuple[int, int]:
    """Return how many todos of a user are open and how many are completed."""
    of_state = dict(Todo.objects.filter(user=user).order_by().values_list("completed").annotate(Count("pk")))
    return of_state.get(False, 0), of_state.get(True, 0)


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
        DueTimeError: If it gets another due time, at which nobody can be reminded.
    """
    # Locked, so that a cleanup either deletes it before this or leaves it alone.
    todo = _own(Todo.objects.select_for_update(), todo_id=todo_id, user=user)
    move(todo, due_at=changes.get("due_at", todo.due_at))
    for field, value in changes.items():
        setattr(todo, field, value)
    todo.save(update_fields=[*changes, "reminded_at", "updated_at"])
    return todo


def move(todo: Todo, *, due_at: datetime | None) -> None:
    """Give a todo that is not saved yet a due time; of another one than it had, its owner is reminded again.

    Raises:
        DueTimeError: If it is another one, at which nobody can be reminded.
    """
    if due_at == todo.due_at:
        return
    check_due(due_at)
    todo.due_at, todo.reminded_at = due_at, None


@transaction.atomic
def delete_todo(*, todo_id: int, user: User) -> Todo:
    """Delete one of a user's own todos, and return what it was.

    Raises:
        TodoNotFoundError: If there is no such todo.
        TodoForbiddenError: If it is somebody else's.
    """
    todo = _own(Todo.objects.select_for_update(), todo_id=todo_id, user=user)
    todo.delete()
    return todo


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

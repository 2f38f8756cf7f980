"""The proof that a task may run more than once, and what it finds."""

import pytest
from django.db import transaction

from project.registry import registry
from project.tasks import task
from project.tasks.errors import TaskArgumentError
from project.tasks.testing import assert_idempotent
from tests.people import a_user
from todo.models import Todo

pytestmark = pytest.mark.django_db


def titles() -> list[tuple[str, bool]]:
    return sorted(Todo.objects.values_list("title", "completed"))


@task("testing.complete")
def complete(*, todo_id: int) -> None:
    Todo.objects.filter(id=todo_id).update(completed=True)


@task("testing.append")
def append(*, todo_id: int) -> None:
    todo = Todo.objects.get(id=todo_id)
    Todo.objects.filter(id=todo_id).update(title=todo.title + "!")


@task("testing.mark_first")
def mark_first(*, todo_id: int) -> None:
    """Do it only if it is not marked as done, but mark it before it is done."""
    if Todo.objects.filter(id=todo_id, completed=False).update(completed=True):
        Todo.objects.filter(id=todo_id).update(title="done")


@task("testing.mark_with_it")
def mark_with_it(*, todo_id: int) -> None:
    """Do it and mark it in one transaction."""
    with transaction.atomic(durable=True):
        mark_first(todo_id=todo_id)


@task("testing.rely_on_finally")
def rely_on_finally(*, todo_id: int) -> None:
    """Leave it alone if somebody is busy with it, and rely on the block that no crash executes."""
    if Todo.objects.filter(id=todo_id, title="busy").exists():
        return
    try:
        Todo.objects.filter(id=todo_id).update(title="busy")
        Todo.objects.filter(id=todo_id).update(completed=True)
    finally:
        Todo.objects.filter(id=todo_id).update(title="done")


@task("testing.complete_async")
async def complete_async(*, todo_id: int) -> None:
    await Todo.objects.filter(id=todo_id).aupdate(completed=True)


@pytest.fixture
def todo() -> Todo:
    return Todo.objects.create(user=a_user(), title="new")


def test_a_task_that_sets_a_value_is_idempotent(todo: Todo) -> None:
    assert_idempotent(complete, snapshot=titles, todo_id=todo.pk)
    assert titles() == [("new", False)]


def test_a_task_that_adds_to_a_value_is_not(todo: Todo) -> None:
    with pytest.raises(AssertionError, match=r"(?s)Run twice.*once: \[\('new!', False\)\].*now:  \[\('new!!', False\)"):
        assert_idempotent(append, snapshot=titles, todo_id=todo.pk)


def test_a_task_that_marks_before_it_does_is_found_out_by_a_crash_in_between(todo: Todo) -> None:
    with pytest.raises(
        AssertionError, match=r'(?s)crash behind write 1 \(UPDATE "todo_todo" SET "completed".*\'done\''
    ):
        assert_idempotent(mark_first, snapshot=titles, todo_id=todo.pk)


def test_one_transaction_makes_it_right(todo: Todo) -> None:
    assert_idempotent(mark_with_it, snapshot=titles, todo_id=todo.pk)


def test_nothing_that_a_task_does_after_a_crash_reaches_the_database(todo: Todo) -> None:
    with pytest.raises(AssertionError, match=r"(?s)crash behind write 1 .*now:  \[\('busy', False\)"):
        assert_idempotent(rely_on_finally, snapshot=titles, todo_id=todo.pk)


def test_an_async_task_is_proved_too(todo: Todo) -> None:
    assert_idempotent(complete_async, snapshot=titles, todo_id=todo.pk)


def test_the_cleanup_is_idempotent_over_all_rows_of_its_app(todo: Todo) -> None:
    Todo.objects.create(user=todo.user, title="old", completed=True)
    assert_idempotent(registry.todo_cleanup_for_user, user_id=todo.user.pk)
    assert Todo.objects.count() == 2


def test_without_an_app_a_snapshot_is_needed(todo: Todo) -> None:
    with pytest.raises(LookupError, match="pass a snapshot"):
        assert_idempotent(complete, todo_id=todo.pk)


def test_arguments_are_checked_first() -> None:
    with pytest.raises(TaskArgumentError):
        assert_idempotent(complete, todo_id="one")

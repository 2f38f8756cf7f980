"""A todo that is moved at the very moment at which its reminder runs."""

from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from project.registry import registry
from project.tasks.models import TaskRun
from tests.eventually import eventually
from tests.locks import in_a_thread, waiting_for_locks
from tests.people import a_user
from todo.editing import create_todo, update_todo
from todo.models import Todo
from todo.schemas import RemindResult

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


def a_due_todo() -> Todo:
    todo = create_todo(user=a_user(), title="Water the plants", due_at=timezone.now() + DAY)
    Todo.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    todo.refresh_from_db()
    return todo


def run_of(todo: Todo) -> TaskRun:
    assert todo.reminder_id is not None
    return TaskRun.objects.get(id=todo.reminder_id)


def states(task: str) -> list[str]:
    return list(TaskRun.objects.filter(task=task).order_by("id").values_list("state", flat=True))


@pytest.mark.parametrize("names_the_due_time", [True, False])
def test_a_reminder_waits_for_whoever_moves_the_todo_and_says_nothing_then(names_the_due_time: bool) -> None:
    todo, results = a_due_todo(), list[RemindResult]()
    due_at = todo.due_at if names_the_due_time else None
    with ExitStack() as threads, transaction.atomic():
        update_todo(todo_id=todo.pk, user=todo.user, changes={"due_at": timezone.now() + DAY})
        remind = lambda: results.append(registry.todo_remind(todo_id=todo.pk, due_at=due_at))  # noqa: E731
        threads.enter_context(in_a_thread(remind))
        eventually(lambda: waiting_for_locks() == 1)
    assert [result.reason for result in results] == ["it was moved" if names_the_due_time else "it is not due"]
    assert (states("send_email"), states("todo.remind")) == ([], ["cancelled", "pending"])


def test_moving_a_todo_whose_mail_no_server_has_taken_yet_cancels_that_and_reminds_again() -> None:
    todo = a_due_todo()
    registry.todo_remind(todo_id=todo.pk, due_at=todo.due_at)
    moved = update_todo(todo_id=todo.pk, user=todo.user, changes={"due_at": timezone.now() + DAY})
    assert states("send_email") == ["cancelled"]
    assert (moved.reminded_at, run_of(moved).state) == (None, "pending")


def test_a_new_reminder_is_sent_though_the_old_one_runs() -> None:
    todo = a_due_todo()
    TaskRun.objects.filter(id=run_of(todo).id).update(state="running")
    moved = update_todo(todo_id=todo.pk, user=todo.user, changes={"due_at": timezone.now() + DAY})
    assert run_of(todo).cancel_requested
    assert run_of(moved).state == "pending"

"""Due times in the admin: refused and reminded of as over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from project.tasks.models import TaskRun
from tests.people import a_user, signed_in
from todo.editing import create_todo
from todo.models import Todo

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return signed_in("view_todo", "add_todo", "change_todo", "delete_todo")


def form(user: Any, date: str = "2099-01-01", **fields: str) -> dict[str, Any]:
    return {"title": "Plants", "user": user.pk, "due_at_0": date, "due_at_1": "12:00" if date else "", **fields}


def states() -> list[str]:
    return list(TaskRun.objects.filter(task="todo.remind").order_by("id").values_list("state", flat=True))


def test_a_todo_from_the_admin_has_a_reminder_which_moves_and_goes_with_it(admin: Client) -> None:
    user = a_user()
    admin.post("/admin/todo/todo/add/", form(user))
    todo = Todo.objects.get()
    assert (states(), TaskRun.objects.get().id) == (["pending"], todo.reminder_id)

    admin.post(f"/admin/todo/todo/{todo.pk}/change/", form(user, "2098-01-01"))
    assert states() == ["cancelled", "pending"]

    admin.post(f"/admin/todo/todo/{todo.pk}/delete/", {"post": "yes"})
    assert (states(), Todo.objects.exists()) == (["cancelled", "cancelled"], False)


def test_deleting_many_todos_cancels_their_reminders(admin: Client) -> None:
    user, due_at = a_user(), timezone.now() + timedelta(hours=1)
    todos = [create_todo(user=user, title=title, due_at=due_at) for title in ("one", "two")]
    selected = {"action": "delete_selected", "_selected_action": [todo.pk for todo in todos], "post": "yes"}
    admin.post("/admin/todo/todo/", selected)
    assert (states(), Todo.objects.exists()) == (["cancelled", "cancelled"], False)


def test_a_due_time_in_the_past_is_refused_by_the_form(admin: Client) -> None:
    page = admin.post("/admin/todo/todo/add/", form(a_user(), "2020-01-01"))
    assert "A due time must be in the future" in page.content.decode()
    assert not Todo.objects.exists()


def test_a_todo_that_is_overdue_can_be_changed_as_it_is(admin: Client) -> None:
    user = a_user()
    todo = Todo.objects.create(user=user, title="old", due_at="2020-01-01T12:00:00Z", reminded_at=timezone.now())
    admin.post(f"/admin/todo/todo/{todo.pk}/change/", form(user, "2020-01-01", title="new"))
    todo.refresh_from_db()
    assert (todo.title, todo.reminded_at is None, states()) == ("new", False, [])

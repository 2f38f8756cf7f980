"""The admin's buttons that send cleanups, and who may press them."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from project.tasks.models import TaskRun
from tests.people import a_user
from todo.models import Todo
from todo.services import create_todo
from users.models import User

pytestmark = pytest.mark.django_db

CLEANUP = "/admin/todo/todo/cleanup/"
USERS = "/admin/users/user/"


def signed_in(*permissions: str, **fields: Any) -> Client:
    """Return the browser of a member of staff who has these permissions."""
    user = a_user(is_staff=True, **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def select(*users: User, **more: str) -> dict[str, Any]:
    return {"action": "clean_up_completed_todos", "_selected_action": [str(user.pk) for user in users], **more}


def test_run_cleanup_now_asks_first() -> None:
    create_todo(user=a_user(), title="done", completed=True)
    page = signed_in("delete_todo").get(CLEANUP)
    assert "1 completed todo of active users will be deleted" in page.content.decode()
    assert not TaskRun.objects.exists()


def test_run_cleanup_now_sends_the_task_and_shows_its_run() -> None:
    client = signed_in("delete_todo", "view_taskrun")
    response = client.post(CLEANUP)
    run = TaskRun.objects.get()
    assert run.task == "todo.cleanup"
    assert response["Location"] == reverse("admin:tasks_taskrun_change", args=[run.pk])


def test_who_pressed_the_button_is_recorded_on_the_run() -> None:
    client = signed_in("delete_todo", username="grace")
    client.post(CLEANUP)
    run = TaskRun.objects.get()
    assert (run.source, run.user) == ("admin", User.objects.get(username="grace"))


def test_who_may_not_see_runs_goes_back_to_the_todos() -> None:
    response = signed_in("delete_todo", "view_todo").post(CLEANUP, follow=True)
    assert response.redirect_chain[-1][0] == "/admin/todo/todo/"
    assert "Sent 1 cleanup" in response.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_cleanup_needs_the_permission_to_delete_todos(method: str) -> None:
    response = getattr(signed_in("view_todo", "change_todo"), method)(CLEANUP)
    assert response.status_code == 403
    assert not TaskRun.objects.exists()


def test_the_button_is_shown_to_those_who_may_press_it() -> None:
    assert "Run cleanup now" in signed_in("view_todo", "delete_todo").get("/admin/todo/todo/").content.decode()
    assert "Run cleanup now" not in signed_in("view_todo").get("/admin/todo/todo/").content.decode()


def test_another_site_cannot_press_the_button() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(a_user(is_staff=True, is_superuser=True))
    assert client.post(CLEANUP).status_code == 403
    assert not TaskRun.objects.exists()


def test_a_visitor_is_asked_to_sign_in() -> None:
    assert "/admin/login/" in Client().post(CLEANUP)["Location"]


def test_the_users_action_asks_first_and_says_what_it_would_delete() -> None:
    ada, gone = a_user("ada"), a_user(is_active=False)
    create_todo(user=ada, title="done", completed=True)
    page = signed_in("view_user", "delete_todo").post(USERS, select(ada, gone)).content.decode()
    assert "ada: 1 completed" in page
    assert "Inactive users keep their todos: 1 of those selected." in page
    assert not TaskRun.objects.exists()


def test_the_users_action_sends_a_cleanup_for_each_active_user() -> None:
    ada, bob, gone = a_user(), a_user(), a_user(is_active=False)
    client = signed_in("view_user", "delete_todo", "view_taskrun")
    response = client.post(USERS, select(ada, bob, gone, confirmed="yes"), follow=True)
    assert {run.arguments["user_id"] for run in TaskRun.objects.all()} == {ada.pk, bob.pk}
    assert set(TaskRun.objects.values_list("task", "source")) == {("todo.cleanup_for_user", "admin")}
    assert "see their runs" in response.content.decode()


def test_the_users_action_for_one_user_shows_the_run() -> None:
    client = signed_in("view_user", "delete_todo", "view_taskrun")
    response = client.post(USERS, select(a_user(), confirmed="yes"))
    assert response["Location"] == reverse("admin:tasks_taskrun_change", args=[TaskRun.objects.get().pk])


def test_the_users_action_needs_the_permission_to_delete_todos() -> None:
    client = signed_in("view_user", "change_user")
    assert "clean_up_completed_todos" not in client.get(USERS).content.decode()
    client.post(USERS, select(a_user(), confirmed="yes"))
    assert not TaskRun.objects.exists()


def test_the_list_of_todos_takes_as_many_queries_for_many_as_for_few(django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        create_todo(user=a_user(), title="todo")
    client = signed_in(is_superuser=True)
    with django_assert_max_num_queries(8):
        client.get("/admin/todo/todo/")
    assert Todo.objects.count() == 20

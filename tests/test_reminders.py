"""A todo's owner gets one mail when it is due, unless it is moved, completed or deleted."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from project.registry import registry
from project.tasks.models import TaskRun
from project.tasks.testing import assert_idempotent
from tests.people import Api, a_user
from todo.editing import create_todo, delete_todo, update_todo
from todo.models import Todo
from todo.schemas import RemindResult

pytestmark = pytest.mark.django_db

LATER = timedelta(hours=1)


def in_an_hour() -> datetime:
    return timezone.now() + LATER


def a_todo(**fields: Any) -> Todo:
    values: dict[str, Any] = {"user": a_user(), "title": "Water the plants", "due_at": in_an_hour()} | fields
    return create_todo(**values)


def reminders(state: str = "pending") -> QuerySet[TaskRun]:
    return TaskRun.objects.filter(task="todo.remind", state=state)


def mails() -> list[dict[str, Any]]:
    return list(TaskRun.objects.filter(task="send_email").values_list("arguments", flat=True))


def is_due(todo: Todo) -> Todo:
    """Let a todo be due since a second ago."""
    Todo.objects.filter(pk=todo.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    todo.refresh_from_db()
    return todo


def test_a_todo_that_is_due_later_has_a_reminder_that_waits_until_then() -> None:
    todo = a_todo()
    run = reminders().get()
    assert (run.id, run.run_after, run.arguments["todo_id"]) == (todo.reminder_id, todo.due_at, todo.pk)


def test_the_owner_of_a_todo_that_is_due_gets_a_mail_about_it() -> None:
    user = a_user("ada")
    todo = is_due(a_todo(user=user, title="Buy\r\nBcc: milk & <b>", description="two <i>"))
    assert registry.todo_remind(todo_id=todo.pk, due_at=todo.due_at) == RemindResult(reminded=True)
    (mail,) = mails()
    assert (mail["to"], mail["subject"]) == ("ada@example.com", "Due now: Buy Bcc: milk & <b>")
    assert "milk & <b>" in mail["text"]
    assert "milk &amp; &lt;b&gt;" in mail["html"]
    assert "two &lt;i&gt;" in mail["html"]
    assert "http://127.0.0.1:8000/" in mail["text"]


def test_the_time_in_the_mail_is_the_services(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    todo = a_todo()
    Todo.objects.update(due_at=datetime.fromisoformat("2026-01-02T11:30:00Z"))
    registry.todo_remind(todo_id=todo.pk)
    assert "Friday, 2 January 2026, 12:30 (CET)" in mails()[0]["text"]


def test_nobody_is_reminded_twice_of_one_due_time() -> None:
    todo = is_due(a_todo())
    results = [registry.todo_remind(todo_id=todo.pk) for _ in range(2)]
    assert [result.reason for result in results] == ["", "its owner was reminded"]
    assert len(mails()) == 1


def test_a_crash_anywhere_in_a_reminder_leaves_one_mail() -> None:
    todo = is_due(a_todo())
    assert_idempotent(
        registry.todo_remind, snapshot=lambda: (len(mails()), Todo.objects.get().reminded_at is None), todo_id=todo.pk
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda todo: todo.delete(), "the todo is gone"),
        (lambda todo: todo.user.delete(), "the todo is gone"),
        (lambda todo: Todo.objects.update(completed=True), "it is completed"),
        (lambda todo: Todo.objects.update(due_at=in_an_hour()), "it is not due"),
        (lambda todo: Todo.objects.update(due_at=None), "it is not due"),
        (lambda todo: type(todo.user).objects.update(is_active=False), "its owner is not active"),
        (lambda todo: type(todo.user).objects.update(email=""), "its owner has no address"),
    ],
)
def test_who_need_not_be_reminded_any_more_is_skipped(change: Callable[[Todo], Any], reason: str) -> None:
    todo = is_due(a_todo())
    pk = todo.pk
    change(todo)
    assert registry.todo_remind(todo_id=pk) == RemindResult(reminded=False, reason=reason)
    assert mails() == []


def test_the_former_reminder_of_a_moved_todo_says_nothing() -> None:
    todo = is_due(a_todo())
    assert registry.todo_remind(todo_id=todo.pk, due_at=in_an_hour()).reason == "it was moved"


def test_moving_a_todo_moves_its_reminder() -> None:
    todo = a_todo()
    tomorrow = timezone.now() + timedelta(days=1)
    moved = update_todo(todo_id=todo.pk, user=todo.user, changes={"due_at": tomorrow})
    assert reminders("cancelled").get().id == todo.reminder_id
    assert (reminders().get().id, reminders().get().run_after) == (moved.reminder_id, tomorrow)


def test_moving_a_todo_there_and_back_leaves_one_reminder() -> None:
    todo = a_todo()
    for due_at in (timezone.now() + timedelta(days=1), todo.due_at):
        update_todo(todo_id=todo.pk, user=todo.user, changes={"due_at": due_at})
    assert reminders().get().run_after == todo.due_at


@pytest.mark.parametrize("changes", [{"completed": True}, {"due_at": None}])
def test_a_todo_that_is_completed_or_due_no_more_has_no_reminder(changes: dict[str, Any]) -> None:
    todo = a_todo()
    changed = update_todo(todo_id=todo.pk, user=todo.user, changes=changes)
    assert (reminders().count(), reminders("cancelled").count(), changed.reminder_id) == (0, 1, None)


def test_deleting_a_todo_cancels_its_reminder() -> None:
    todo = a_todo()
    delete_todo(todo_id=todo.pk, user=todo.user)
    assert (reminders().count(), reminders("cancelled").count()) == (0, 1)


def test_a_todo_that_is_opened_again_has_a_reminder_again() -> None:
    todo = a_todo()
    for completed in (True, False):
        update_todo(todo_id=todo.pk, user=todo.user, changes={"completed": completed})
    assert reminders().get().id == Todo.objects.get().reminder_id


def test_a_change_that_is_not_about_time_leaves_the_reminder_alone() -> None:
    todo = a_todo()
    update_todo(todo_id=todo.pk, user=todo.user, changes={"title": "Feed the cat", "due_at": todo.due_at})
    assert reminders().get().id == todo.reminder_id


def test_completing_a_todo_cancels_a_mail_that_no_server_has_taken_yet() -> None:
    todo = is_due(a_todo())
    registry.todo_remind(todo_id=todo.pk)
    update_todo(todo_id=todo.pk, user=todo.user, changes={"completed": True})
    assert TaskRun.objects.get(task="send_email").state == "cancelled"


def test_a_todo_that_is_opened_again_before_its_mail_was_taken_is_mailed_again() -> None:
    todo = is_due(a_todo())
    registry.todo_remind(todo_id=todo.pk)
    for completed in (True, False):
        opened = update_todo(todo_id=todo.pk, user=todo.user, changes={"completed": completed})
    assert (reminders("queued").get().id, opened.reminded_at) == (opened.reminder_id, None)


def test_a_todo_that_is_opened_again_after_its_mail_was_taken_is_not_mailed_again() -> None:
    todo = is_due(a_todo())
    registry.todo_remind(todo_id=todo.pk)
    TaskRun.objects.filter(task="send_email").update(state="succeeded", result={"message_id": "x"})
    for completed in (True, False):
        update_todo(todo_id=todo.pk, user=todo.user, changes={"completed": completed})
    assert reminders("queued").count() == 0


def test_a_due_time_in_the_past_is_refused_by_its_field() -> None:
    user = a_user()
    todo = a_todo(user=user)
    past = "2020-01-01T00:00:00Z"
    for response in (
        Api(user).post("/v1/todos", {"title": "x", "due_at": past}),
        Api(user).patch(f"/v1/todos/{todo.pk}", {"due_at": past}),
    ):
        (mistake,) = response.json()["detail"]
        assert (response.status_code, mistake["loc"]) == (422, ["body", "due_at"])
        assert mistake["msg"] == "A due time must be in the future, within 100 years; 2020-01-01 00:00:00 UTC is not"
    assert Todo.objects.get().due_at == todo.due_at


def test_a_todo_whose_due_time_has_passed_can_still_be_changed() -> None:
    todo = is_due(a_todo())
    response = Api(todo.user).patch(f"/v1/todos/{todo.pk}", {"due_at": todo.due_at.isoformat(), "title": "Still"})  # type: ignore[union-attr]
    assert (response.status_code, response.json()["title"]) == (200, "Still")


@pytest.mark.parametrize(
    "due_at", ["tomorrow", "2030-01-01", "2030-01-01T00:00:00", "9999-01-01T00:00:00Z", "2999-01-01T00:00:00Z", 7e99]
)
def test_a_due_time_that_is_none_is_refused(due_at: Any) -> None:
    assert Api(a_user()).post("/v1/todos", {"title": "x", "due_at": due_at}).status_code == 422


def test_a_due_time_goes_in_and_out_over_http() -> None:
    user = a_user()
    todo = Api(user).post("/v1/todos", {"title": "x", "due_at": "2099-01-01T01:00:00+01:00"}).json()
    assert todo["due_at"] == "2099-01-01T00:00:00Z"
    assert Api(user).get("/v1/todos").json()["todos"][0]["due_at"] == "2099-01-01T00:00:00Z"
    assert Api(user).patch(f"/v1/todos/{todo['id']}", {"due_at": None}).json()["due_at"] is None
    assert reminders().count() == 0

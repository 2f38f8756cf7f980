"""The domain's tasks, from a send to a typed result."""

from datetime import timedelta

import pytest
from django.utils import timezone
from dramatiq.worker import Worker

from project.registry import registry
from project.tasks.errors import TaskArgumentError
from project.tasks.models import TaskRun
from project.tasks.sending.cause import Cause, caused_by
from tests.eventually import eventually
from tests.people import Api, a_user
from todo.models import Todo
from todo.schemas import CleanupResult
from todo.services import create_todo
from users.models import RefreshSession
from users.schemas import CleanupSessionsResult
from users.sessions import Client, start_session

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_cleanup_of_everybody_returns_what_it_did(worker: Worker) -> None:
    for _ in range(2):
        create_todo(user=a_user(), title="done", completed=True)
    result = registry.todo_cleanup.send().result(timeout=10)
    assert result == CleanupResult(users_processed=2, todos_deleted=2, errors=0)


def test_the_cleanup_of_sessions_returns_what_it_did(worker: Worker) -> None:
    start_session(user=a_user(), client=Client())
    RefreshSession.objects.update(expires_at=timezone.now() - timedelta(days=8))
    assert registry.cleanup_sessions.send().result(timeout=10) == CleanupSessionsResult(deleted_count=0)
    assert registry.cleanup_sessions.send(days_old=7).result(timeout=10) == CleanupSessionsResult(deleted_count=1)


@pytest.mark.parametrize("days_old", [-1, 10**9])
def test_an_age_that_makes_no_sense_is_refused_before_anything_is_sent(days_old: int) -> None:
    with pytest.raises(TaskArgumentError):
        registry.cleanup_sessions.send(days_old=days_old)
    assert not TaskRun.objects.exists()


def test_a_user_cleans_up_their_own_todos_over_http(worker: Worker) -> None:
    user, other = a_user(), a_user()
    for owner in (user, other):
        create_todo(user=owner, title="done", completed=True)
    response = Api(user, **{"X-Request-ID": "walk-through-1"}).post("/v1/todos/cleanup")
    sent = response.json()
    run = TaskRun.objects.get()
    assert (response.status_code, sent["task_id"], sent["status_url"]) == (202, str(run.pk), f"/v1/tasks/{run.pk}")
    assert (run.task, run.source, run.user, run.request_id) == (
        "todo.cleanup_for_user",
        "api",
        user,
        "walk-through-1",
    )
    eventually(lambda: Api(user).get(sent["status_url"]).json()["state"] == "succeeded")
    assert Api(user).get(sent["status_url"]).json()["result"]["todos_deleted"] == 1
    assert Todo.objects.get().user == other


def test_while_a_users_cleanup_waits_more_of_them_are_not_sent() -> None:
    user, other = a_user(), a_user()
    asked = [Api(user).post("/v1/todos/cleanup").json()["task_id"] for _ in range(3)]
    assert len(set(asked)) == 1
    assert Api(other).post("/v1/todos/cleanup").json()["task_id"] not in asked
    assert TaskRun.objects.count() == 2


def test_a_user_sends_so_many_cleanups_a_minute_however_fast_they_are_executed() -> None:
    user = a_user()
    statuses = []
    for _ in range(62):
        statuses.append(Api(user).post("/v1/todos/cleanup").status_code)
        TaskRun.objects.update(state="succeeded")
    assert statuses == [202] * 60 + [429] * 2
    assert (TaskRun.objects.count(), Api(a_user()).post("/v1/todos/cleanup").status_code) == (60, 202)


def test_you_see_how_your_cleanup_stands_though_somebody_else_had_asked_for_it() -> None:
    user = a_user()
    with caused_by(Cause(source="admin", user_id=a_user().pk)):
        registry.todo_cleanup_for_user.send(user_id=user.pk)
    sent = Api(user).post("/v1/todos/cleanup").json()
    assert Api(user).get(sent["status_url"]).json()["state"] == "queued"
    assert Api(a_user()).get(sent["status_url"]).status_code == 404


def test_the_cleanup_of_logins_returns_what_it_did(worker: Worker) -> None:
    assert registry.users_clear_expired_logins.send().result(timeout=10).deleted_count == 0

"""What nobody types but anybody can send is refused, and is never a server error."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from scheduler.models import Schedule
from tests.people import Api, a_user
from tests.runs import a_run

pytestmark = pytest.mark.django_db

DEEP = "[" * 300 + "]" * 300
TOO_DEEP = "[" * 100_000


@pytest.fixture
def admin() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(a_user(is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize(
    "address",
    [
        "tasks/taskrun/?task=%00",
        "tasks/taskrun/?error_type=a%00b",
        "tasks/taskrun/retry-all/?queue=%00",
        "tasks/taskrun/export/?schedule=%00",
        "tasks/operatoraction/?who=%00",
        "tasks/worker/?kind=%00",
        "tasks/pausedqueue/%00/resume/",
        "tasks/taskbatch/%00/change/",
        "scheduler/schedule/?cron=%00",
        "users/user/?username=%00",
        "auth/group/?%00=1",
    ],
)
def test_nul_in_an_address_is_refused(admin: Client, address: str) -> None:
    response = admin.get(f"/admin/{address}")
    assert (response.status_code, response.content) == (400, b"What was sent must not contain NUL characters.")


def test_nul_in_a_form_is_refused(admin: Client) -> None:
    for path in ("todo/todo/add/", "login/", "tasks/pausedqueue/pause/", "users/user/"):
        assert admin.post(f"/admin/{path}", {"action": "delete_selected", "user": "\0"}).status_code == 400


def test_nul_in_the_api_is_told_like_every_field_that_does_not_fit() -> None:
    staff = Api(a_user(is_staff=True, is_superuser=True))
    for where, response in {
        "query": staff.get("/v1/tasks", queue="\0"),
        "path": staff.post("/v1/tasks/queues/%00/pause", {}),
    }.items():
        mistake = {"type": "value_error", "loc": [where], "msg": "must not contain NUL characters"}
        assert (response.status_code, response.json()) == (422, {"detail": [mistake]})


@pytest.mark.parametrize("model", ["bulkretry", "taskbatch", "operatoraction", "worker", "taskrun"])
def test_a_page_of_a_row_that_cannot_be_is_not_found(admin: Client, model: str) -> None:
    for key in ("x", "-1", "9" * 30, str(uuid4()), "é"):
        response = admin.get(f"/admin/tasks/{model}/{key}/change/", follow=True)
        assert response.status_code == 404 or b"doesn\xe2\x80\x99t exist" in response.content, key


@pytest.mark.parametrize("key", ["x", "1.5", "9" * 30])
def test_selecting_what_cannot_be_a_row_is_refused(admin: Client, key: str) -> None:
    for path, action in {"tasks/taskrun": "retry_selected", "users/user": "delete_selected"}.items():
        response = admin.post(f"/admin/{path}/", {"action": action, "_selected_action": key})
        assert response.status_code in (200, 302, 400)


@pytest.mark.parametrize("text", [DEEP, TOO_DEEP, f'{{"left": {DEEP}}}'])
def test_json_that_is_nested_without_end_is_refused_in_forms(admin: Client, text: str) -> None:
    edited = admin.post(f"/admin/tasks/taskrun/{a_run().id}/edit/", {"arguments": text})
    schedule = {"name": "deep", "task": "ping", "arguments": text, "cron": "* * * * *", "time_zone": "UTC"}
    added = admin.post("/admin/scheduler/schedule/add/", schedule)
    for response in (edited, added):
        assert response.status_code == 200
        assert "nested at most 50 deep" in response.content.decode()
    assert not Schedule.objects.filter(name="deep").exists()


def test_many_unknown_keys_cost_one_short_answer() -> None:
    body: dict[str, Any] = {f"key{number}": number for number in range(50_000)}
    response = Api(a_user()).patch("/v1/todos/1", body)
    assert response.status_code == 422
    (mistake,) = response.json()["detail"]
    assert "must not have more than 100 keys" in mistake["msg"]


def test_of_many_mistakes_some_are_told_and_all_are_counted() -> None:
    response = Api(a_user()).patch("/v1/todos/1", {f"key{number}": number for number in range(100)})
    *told, rest = response.json()["detail"]
    assert len(told) == 20
    assert rest == {"type": "too_many", "loc": [], "msg": "and 80 more"}


def test_many_unknown_arguments_of_a_task_are_counted_too() -> None:
    staff = Api(a_user(is_staff=True, is_superuser=True))
    arguments = {f"key{number}": number for number in range(1000)}
    response = staff.post(f"/v1/tasks/{a_run().id}/retry", {"arguments": arguments})
    assert response.status_code == 422
    assert len(response.json()["detail"]) == 21

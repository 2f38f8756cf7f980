"""Todos over HTTP: one's own, and nobody else's."""

from typing import Any

import pytest

from tests.people import Api, a_user
from todo.models import Todo
from todo.services import create_todo

pytestmark = pytest.mark.django_db


def call(api: Api, method: str, path: str) -> Any:
    return api.patch(path, {"title": "mine"}) if method == "patch" else getattr(api, method)(path)


def test_a_todo_is_written_down() -> None:
    response = Api(a_user()).post("/v1/todos", {"title": " Buy milk ", "description": "two"})
    assert response.status_code == 201
    todo = response.json()
    assert (todo["title"], todo["description"], todo["completed"]) == ("Buy milk", "two", False)
    assert todo["created_at"].endswith("Z")


def test_a_todo_says_whose_it_is() -> None:
    user = a_user()
    written = Api(user).post("/v1/todos", {"title": "Buy milk"}).json()
    listed = Api(user).get("/v1/todos").json()["todos"][0]
    assert (written["user_id"], listed["user_id"]) == (user.pk, user.pk)


def test_a_user_lists_only_their_own_newest_first() -> None:
    user = a_user()
    create_todo(user=a_user(), title="somebody else's")
    for title in ("first", "second", "third"):
        create_todo(user=user, title=title)
    page = Api(user).get("/v1/todos").json()
    assert [todo["title"] for todo in page["todos"]] == ["third", "second", "first"]
    assert page["count"] == 3


def test_the_list_is_filtered_and_paged() -> None:
    user = a_user()
    for number in range(6):
        create_todo(user=user, title=str(number), completed=number % 2 == 0)
    page = Api(user).get("/v1/todos", completed="true", limit=1, offset=1).json()
    assert ([todo["title"] for todo in page["todos"]], page["count"]) == (["2"], 3)
    assert Api(user).get("/v1/todos", completed="false").json()["count"] == 3


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 201},
        {"limit": 0},
        {"limit": "x"},
        {"offset": -1},
        {"offset": 10**30},
        {"completed": "maybe"},
        {"completed": "\x00"},
    ],
)
def test_a_page_that_cannot_be_is_refused(query: dict[str, Any]) -> None:
    assert Api(a_user()).get("/v1/todos", **query).status_code == 422


def test_a_todo_is_changed_in_part() -> None:
    user = a_user()
    todo = create_todo(user=user, title="milk", description="two")
    response = Api(user).patch(f"/v1/todos/{todo.pk}", {"completed": True})
    assert response.status_code == 200
    changed = response.json()
    assert (changed["title"], changed["description"], changed["completed"]) == ("milk", "two", True)
    assert changed["updated_at"] > changed["created_at"]


@pytest.mark.parametrize(
    "changes",
    [
        {"title": None},
        {"title": ""},
        {"title": "   "},
        {"title": "x" * 201},
        {"title": "\u0000"},
        {"title": "\ud800"},
        {"description": None},
        {"description": "x" * 1001},
        {"completed": None},
        {"completed": "perhaps"},
        {"titel": "typo"},
        {"id": 7},
        {"user_id": 7},
    ],
)
def test_a_change_that_does_not_fit_is_refused_with_the_field(changes: dict[str, Any]) -> None:
    user = a_user()
    todo = create_todo(user=user, title="milk")
    response = Api(user).patch(f"/v1/todos/{todo.pk}", changes)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][-1] in changes
    assert Api(user).get(f"/v1/todos/{todo.pk}").json()["title"] == "milk"


def test_a_todo_is_deleted() -> None:
    user = a_user()
    todo = create_todo(user=user, title="milk")
    response = Api(user).delete(f"/v1/todos/{todo.pk}")
    assert (response.status_code, response.content) == (204, b"")
    assert not Todo.objects.exists()


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_anothers_todo_is_forbidden_and_stays(method: str) -> None:
    todo = create_todo(user=a_user(), title="private")
    api = Api(a_user(is_staff=True))
    response = call(api, method, f"/v1/todos/{todo.pk}")
    assert (response.status_code, response.json()) == (403, {"detail": "This todo belongs to another user"})
    todo.refresh_from_db()
    assert todo.title == "private"


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_a_missing_todo_is_not_found(method: str) -> None:
    response = call(Api(a_user()), method, "/v1/todos/123456789012345678")
    assert (response.status_code, response.json()) == (404, {"detail": "Todo not found"})


@pytest.mark.parametrize("todo_id", ["0", "-1", "x", "1.5", "9" * 30, "9" * 5000, "%00", "1%20or%201=1"])
def test_an_id_that_is_none_is_refused(todo_id: str) -> None:
    assert Api(a_user()).get(f"/v1/todos/{todo_id}").status_code == 422


@pytest.mark.parametrize("path", ["/v1/todos", "/v1/todos/1"])
def test_todos_are_for_those_who_signed_in(path: str) -> None:
    response = Api().get(path)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")

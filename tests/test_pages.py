"""What the pages answer to those who may not, who ask for nonsense, or who come at a bad time."""

from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from project.pages.forms import PasswordForm
from tests.people import PASSWORD, a_user
from tests.runs import a_run
from todo.models import Todo
from todo.services import create_todo
from users.models import User

pytestmark = pytest.mark.django_db

PAGES = ["/tasks/", "/account/", "/tasks/05eb3675-2496-416e-8d23-2664334bbe08/"]
POSTED = [
    "/todos/add/",
    "/todos/1/tick/",
    "/todos/1/delete/",
    "/todos/clean-up/",
    "/todos/export/",
    "/account/sign-out-everywhere/",
]


def browser_of(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def said(response: Any) -> str:
    return str(response.content.decode())


@pytest.mark.parametrize("path", PAGES)
def test_who_is_not_signed_in_is_led_to_the_sign_in_and_back(path: str) -> None:
    assert Client().get(path)["Location"] == f"/sign-in/?next={path}"


@pytest.mark.parametrize("path", POSTED)
def test_nobody_does_anything_without_signing_in(path: str) -> None:
    create_todo(user=a_user(), title="Mine")
    assert Client().post(path, {"title": "x"})["Location"].startswith("/sign-in/")
    assert Todo.objects.get().title == "Mine"


@pytest.mark.parametrize("path", POSTED)
def test_a_form_of_another_site_does_nothing(path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(a_user())
    assert client.post(path, {"title": "x"}).status_code == 403


@pytest.mark.parametrize("action", ["edit", "tick", "delete"])
def test_somebody_elses_todo_is_out_of_reach(action: str) -> None:
    todo = create_todo(user=a_user(), title="Mine")
    response = browser_of(a_user()).post(f"/todos/{todo.pk}/{action}/", {"title": "Stolen"}, follow=True)
    assert "That todo is not there any more." in said(response)
    assert Todo.objects.get().title == "Mine"


def test_a_todo_that_cannot_be_is_not_there_either() -> None:
    response = browser_of(a_user()).post(f"/todos/{2**80}/delete/", follow=True)
    assert "That todo is not there any more." in said(response)


@pytest.mark.parametrize("path", ["", "cancel/"])
def test_somebody_elses_run_is_out_of_reach(path: str) -> None:
    run = a_run("queued", user=a_user())
    client = browser_of(a_user())
    assert (client.post if path else client.get)(f"/tasks/{run.id}/{path}").status_code == 404
    run.refresh_from_db()
    assert run.state == "queued"


@pytest.mark.parametrize("query", ["show=x", "page=-1", "page=99999999999", "page=½", "edit=x", "q=" + "x" * 999])
def test_an_address_that_makes_no_sense_shows_the_todos(query: str) -> None:
    assert browser_of(a_user()).get(f"/?{query}").status_code == 200


@pytest.mark.parametrize("before", ["x", "00000000-0000-0000-0000-00000000000g"])
def test_a_page_of_runs_that_cannot_be_is_not_found(before: str) -> None:
    assert browser_of(a_user()).get("/tasks/", {"before": before}).status_code == 404


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_signing_in_leads_nowhere_else(wanted: str) -> None:
    assert browser_of(a_user()).get("/sign-in/", {"next": wanted})["Location"] == "/"


@pytest.mark.parametrize("wanted", ["nonsense", "sign-out", "?q=x", "#todos"])
def test_signing_in_leads_to_the_todos_if_it_is_to_lead_to_no_address(wanted: str) -> None:
    a_user("ada")
    form = {"username": "ada", "password": PASSWORD, "next": wanted}
    assert Client(raise_request_exception=False).post("/sign-in/", form).headers.get("Location") == "/"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"title": ""}, "This field is required."),
        ({"title": "x" * 201}, "at most 200 characters"),
        ({"title": "x", "description": "x" * 1001}, "at most 1000 characters"),
        ({"title": "x", "due_at": "2020-01-01T00:00"}, "Choose a time in the future"),
        ({"title": "x", "due_at": "9999-12-31T23:59"}, "Choose a time in the future"),
        ({"title": "x", "due_at": "soon"}, "Enter a valid date/time."),
    ],
)
def test_a_todo_that_cannot_be_is_refused_with_the_reason_and_kept_in_the_form(
    fields: dict[str, str], complaint: str
) -> None:
    response = browser_of(a_user()).post("/todos/add/", fields)
    assert complaint in said(response)
    assert not Todo.objects.exists()


def test_a_todo_that_is_due_in_the_hour_that_clocks_show_twice_can_be_changed(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    ada, due_at = a_user(), datetime.fromisoformat("2027-10-31T01:30:07Z")
    todo = create_todo(user=ada, title="Old", due_at=due_at)
    browser_of(ada).post(f"/todos/{todo.pk}/edit/", {"title": "New", "due_at": "2027-10-31T02:30"})
    todo.refresh_from_db()
    assert (todo.title, todo.due_at) == ("New", due_at)


def test_what_people_write_is_text_and_not_markup() -> None:
    ada = a_user()
    create_todo(user=ada, title="<script>alert(1)</script>", description="<b>x</b>")
    page = said(browser_of(ada).get("/"))
    assert "<script>alert" not in page
    assert "<b>x</b>" not in page


@pytest.mark.parametrize("path", ["/no/such/page", "/tasks/no-id/"])
def test_what_is_not_there_is_said_on_a_page_of_ours(path: str) -> None:
    response = browser_of(a_user()).get(path)
    assert response.status_code == 404
    assert "There is no such page" in said(response)


def test_a_database_that_is_away_is_said_on_a_page_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_arguments: Any, **_options: Any) -> None:
        raise OperationalError("no connection")

    monkeypatch.setattr("project.pages.todos.member", away)
    response = browser_of(a_user()).get("/")
    assert (response.status_code, "Something went wrong" in said(response)) == (500, True)


def test_who_was_locked_while_their_new_password_was_hashed_stays_locked() -> None:
    ada = a_user()
    passwords = {"old_password": PASSWORD, "new_password1": "a different horse", "new_password2": "a different horse"}
    form = PasswordForm(User.objects.get(pk=ada.pk), passwords)
    assert form.is_valid()
    User.objects.filter(pk=ada.pk).update(is_active=False)
    form.save()
    ada.refresh_from_db()
    assert (ada.is_active, ada.check_password("a different horse")) == (False, True)


@pytest.mark.parametrize("result", [7, "many", {}, {"todos_deleted": "many"}, None])
def test_a_result_of_another_release_is_shown_as_done(result: Any) -> None:
    ada = a_user()
    a_run("succeeded", user=ada, task="todo.cleanup_for_user", result=result)
    assert "Done · " in said(browser_of(ada).get("/tasks/"))


def test_who_has_done_everything_is_told_so() -> None:
    ada = a_user()
    create_todo(user=ada, title="Done", completed=True)
    assert "Everything is done." in said(browser_of(ada).get("/?show=open"))
    assert "Everything is done." not in said(browser_of(a_user()).get("/?show=open"))


def test_a_password_is_asked_for_so_many_times_a_minute(settings: Any) -> None:
    settings.AUTH_RATE_LIMIT = "2/minute"
    client = Client(REMOTE_ADDR="10.99.1.1")
    answers = [client.post("/sign-in/", {"username": "x", "password": "y"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1]["Retry-After"]) > 0

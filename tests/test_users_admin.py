"""Users and their sessions in the admin."""

import pytest
from django.test import Client
from django.utils import timezone

from tests.people import PASSWORD, a_user
from users.models import RefreshSession, User
from users.sessions import Client as Device
from users.sessions import start_session

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(a_user("root", is_staff=True, is_superuser=True))
    return client


def add_user(browser: Client, **changes: str) -> str:
    form = {
        "username": "ada",
        "email": "ada@example.com",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
        **changes,
    }
    return browser.post("/admin/users/user/add/", form, follow=True).content.decode()


def test_a_password_typed_into_the_admin_is_hashed(browser: Client) -> None:
    add_user(browser)
    user = User.objects.get(username="ada")
    assert user.check_password(PASSWORD)
    assert PASSWORD not in user.password


@pytest.mark.parametrize("changes", [{"username": "ROOT"}, {"email": "ROOT@example.com"}])
def test_a_name_or_address_that_differs_by_case_alone_is_refused(browser: Client, changes: dict[str, str]) -> None:
    assert "already exists" in add_user(browser, **changes)
    assert User.objects.count() == 1


def test_an_email_address_is_asked_for(browser: Client) -> None:
    assert "This field is required" in add_user(browser, email="")


def test_sessions_can_be_looked_at_and_nothing_else(browser: Client) -> None:
    start_session(user=a_user(), client=Device(user_agent="curl/8", ip_address="192.0.2.7"))
    session = RefreshSession.objects.get()
    assert "192.0.2.7" in browser.get("/admin/users/refreshsession/").content.decode()
    page = browser.get(f"/admin/users/refreshsession/{session.pk}/change/").content.decode()
    assert session.token_hash not in page
    assert 'name="_save"' not in page
    for action in ("add", f"{session.pk}/delete"):
        assert browser.post(f"/admin/users/refreshsession/{action}/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(("state", "shown"), [("active", "one"), ("ended", "two")])
def test_sessions_are_filtered_by_whether_they_are_over(browser: Client, state: str, shown: str) -> None:
    for agent in ("agent-one", "agent-two"):
        start_session(user=a_user(), client=Device(user_agent=agent))
    RefreshSession.objects.filter(user_agent="agent-two").update(revoked_at=timezone.now())
    page = browser.get("/admin/users/refreshsession/", {"state": state}).content.decode()
    assert [agent for agent in ("one", "two") if f"agent-{agent}" in page] == [shown]


def test_a_user_is_deleted_with_their_sessions(browser: Client) -> None:
    user = a_user()
    start_session(user=user, client=Device())
    browser.post(f"/admin/users/user/{user.pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(pk=user.pk).exists()
    assert not RefreshSession.objects.exists()

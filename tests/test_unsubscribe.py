"""The weekly digest stops with one click, for those who have the link from the mail, and for nobody else."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.signing import TimestampSigner
from django.test import Client

from notifications import subscriptions
from notifications.subscriptions import LINK_LIFETIME, unsubscribe_url
from tests.people import Api, a_user, signed_in
from users.models import User

pytestmark = pytest.mark.django_db


def link(user: User) -> str:
    """Return the link in a user's digest, without the host."""
    url = urlsplit(unsubscribe_url(user.pk))
    return f"{url.path}?{url.query}"


def wants_it(user: User) -> bool:
    user.refresh_from_db()
    return user.weekly_digest


def test_one_post_from_a_mail_program_stops_the_digest() -> None:
    user, other = a_user(), a_user()
    anonymous = Client(enforce_csrf_checks=True)
    for _ in range(2):
        assert anonymous.post(link(user), {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert (wants_it(user), wants_it(other)) == (False, True)


def test_looking_at_the_link_asks_and_changes_nothing() -> None:
    user = a_user()
    for response in (Client().get(link(user)), Client().head(link(user))):
        assert response.status_code == 200
    assert '<form method="post">' in Client().get(link(user)).content.decode()
    assert wants_it(user)


def test_the_button_says_that_it_is_done() -> None:
    assert "You will get no more weekly digests" in Client().post(link(a_user())).content.decode()


@pytest.mark.parametrize(
    "change", [lambda it: it + "x", lambda it: it.replace("token=", "token=1"), lambda it: it.partition("?")[0]]
)
def test_a_forged_link_stops_nothing_and_says_so(change: Any) -> None:
    user = a_user()
    for method in ("get", "post"):
        response = getattr(Client(), method)(change(link(user)))
        assert (response.status_code, "not one of ours" in response.content.decode()) == (400, True)
    assert wants_it(user)


def test_another_signature_of_the_service_is_no_link() -> None:
    user = a_user()
    token = TimestampSigner(salt="something else").sign(str(user.pk))
    assert Client().post("/digest/unsubscribe", query_params={"token": token}).status_code == 400
    assert wants_it(user)


def test_a_link_expires_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    user = a_user()
    old = link(user)
    monkeypatch.setattr(subscriptions, "LINK_LIFETIME", timedelta(seconds=-1))
    response = Client().post(old)
    assert (response.status_code, "has expired" in response.content.decode()) == (410, True)
    assert wants_it(user)
    assert timedelta(days=30) < LINK_LIFETIME


def test_the_link_of_somebody_who_is_gone_is_answered_alike() -> None:
    user = a_user()
    old = link(user)
    user.delete()
    assert Client().post(old).status_code == 200


def test_no_log_line_has_the_token(caplog: pytest.LogCaptureFixture) -> None:
    address = link(a_user())
    Client().post(address)
    assert address.partition("token=")[2] not in caplog.text


def test_the_digest_is_switched_off_and_on_over_http() -> None:
    user = a_user()
    assert Api(user).get("/v1/users/me").json()["weekly_digest"] is True
    for wanted in (False, True):
        response = Api(user).patch("/v1/users/me", {"weekly_digest": wanted})
        assert (response.status_code, response.json()["weekly_digest"], wants_it(user)) == (200, wanted, wanted)


@pytest.mark.parametrize("body", [{}, {"weekly_digest": None}, {"weekly_digest": "maybe"}, {"is_staff": True}])
def test_a_change_to_oneself_that_does_not_fit_is_refused(body: dict[str, Any]) -> None:
    assert Api(a_user()).patch("/v1/users/me", body).status_code == 422


def test_staff_see_and_switch_the_digest_in_the_admin() -> None:
    user = a_user()
    page = signed_in("view_user", "change_user").get(f"/admin/users/user/{user.pk}/change/").content.decode()
    assert 'name="weekly_digest"' in page
    assert 'name="digest_week"' not in page

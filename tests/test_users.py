"""Signing up, looking users up, and forgetting old sessions."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import Client as Browser
from django.utils import timezone

from tests.people import PASSWORD, Api, a_user, staff
from users.logins import clear_expired_logins
from users.models import RefreshSession, User
from users.sessions import Client, delete_old_sessions, start_session

pytestmark = pytest.mark.django_db


def sign_up(**changes: Any) -> Any:
    body = {"username": "ada", "email": "ada@example.com", "password": PASSWORD, "first_name": "Ada", **changes}
    return Api().post("/v1/users/", body)


def test_a_person_signs_up() -> None:
    response = sign_up()
    assert response.status_code == 200
    assert response.json() == {
        "id": User.objects.get().pk,
        "username": "ada",
        "email": "ada@example.com",
        "first_name": "Ada",
        "last_name": "",
        "is_staff": False,
        "is_superuser": False,
        "weekly_digest": True,
    }


def test_a_password_is_kept_as_an_argon2_hash(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["users.passwords.Argon2"]
    sign_up()
    assert User.objects.get().password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("password", ["short", "password123", "1234567890123", "ada@example.com"])
def test_a_weak_password_is_refused_with_the_reason(password: str) -> None:
    response = sign_up(password=password)
    assert response.status_code == 400
    assert "password" in response.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"email": "other@example.com"}, "Username is already taken"),
        ({"username": "ADA", "email": "other@example.com"}, "Username is already taken"),
        ({"username": "other"}, "Email is already taken"),
        ({"username": "other", "email": "ADA@example.COM"}, "Email is already taken"),
    ],
)
def test_a_taken_name_or_address_is_refused_whatever_its_case(changes: dict[str, str], reason: str) -> None:
    sign_up()
    response = sign_up(**changes)
    assert (response.status_code, response.json()) == (409, {"detail": reason})


@pytest.mark.django_db(transaction=True)
def test_of_many_sign_ups_with_one_name_at_once_one_succeeds() -> None:
    def attempt(number: int) -> int:
        name = "ada" if number % 2 else "ADA"
        status: int = sign_up(username=name, email=f"{number}@example.com").status_code
        connections.close_all()
        return status

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(attempt, range(8)))
    assert sorted(statuses) == [200] + [409] * 7


@pytest.mark.parametrize(
    "changes",
    [
        {"username": ""},
        {"username": "a b"},
        {"username": "a\u0000"},
        {"username": "a" * 151},
        {"username": "\ufdfa" * 100},  # grows beyond the column when it is normalised
        {"username": "\ud800"},
        {"username": None},
        {"username": 7},
        {"email": "ada"},
        {"email": "a@b@c.de"},
        {"email": "a" * 250 + "@example.com"},
        {"email": "ada\u0000@example.com"},
        {"password": ""},
        {"password": "x" * 129},
        {"password": "correct\u0000horse battery"},
        {"first_name": "x" * 151},
        {"last_name": "\u0000"},
    ],
)
def test_what_cannot_be_a_user_is_refused_with_the_field(changes: dict[str, Any]) -> None:
    response = sign_up(**changes)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][-1] in changes


def test_staff_look_any_user_up() -> None:
    user = a_user("ada")
    response = Api(staff("view_user")).get(f"/v1/users/{user.pk}")
    assert (response.status_code, response.json()["username"]) == (200, "ada")


def test_other_users_are_hidden_from_those_who_are_not_staff() -> None:
    user = a_user()
    response = Api(user).get(f"/v1/users/{user.pk}")
    assert (response.status_code, response.json()) == (403, {"detail": "Staff access required"})


def test_staff_look_users_up_only_with_the_permission() -> None:
    response = Api(staff()).get(f"/v1/users/{a_user().pk}")
    assert (response.status_code, response.json()) == (403, {"detail": "Permission to view users required"})


def test_an_unknown_user_is_not_found() -> None:
    response = Api(staff("view_user")).get("/v1/users/2147483648000")
    assert (response.status_code, response.json()) == (404, {"detail": "User not found"})


def test_sessions_that_ended_long_ago_are_deleted_and_no_others() -> None:
    user = a_user()
    now = timezone.now()
    for ended in (
        {"expires_at": now - timedelta(days=31)},
        {"revoked_at": now - timedelta(days=31)},
        {"expires_at": now - timedelta(days=29)},
        {"revoked_at": now - timedelta(days=29)},
        {},
    ):
        start_session(user=user, client=Client())
        RefreshSession.objects.filter(pk=RefreshSession.objects.latest("created_at").pk).update(**ended)
    assert delete_old_sessions(days_old=30).deleted_count == 2
    assert delete_old_sessions(days_old=30).deleted_count == 0
    assert RefreshSession.objects.count() == 3


def test_logins_that_expired_are_deleted_and_no_others() -> None:
    browsers = [Browser() for _ in range(3)]
    for browser in browsers:
        browser.force_login(a_user())
    kept, *expired = [browser.session.session_key for browser in browsers]
    Session.objects.filter(pk__in=expired).update(expire_date=timezone.now() - timedelta(seconds=1))
    assert clear_expired_logins().deleted_count == 2
    assert clear_expired_logins().deleted_count == 0
    assert Session.objects.get().pk == kept

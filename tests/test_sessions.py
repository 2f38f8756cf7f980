"""Where one is signed in, signing out of it, and what ends every session of a user."""

from collections.abc import Callable
from io import StringIO
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from structlog.testing import capture_logs

from tests.people import PASSWORD, Api, a_user, staff
from users.models import RefreshSession, User
from users.sessions import Client as Origin
from users.sessions import start_session

pytestmark = pytest.mark.django_db

NEW_PASSWORD = "staple battery correct"


class Device:
    """A client that has signed in."""

    def __init__(self, username: str, **headers: str) -> None:
        pair = Api(**headers).post("/v1/auth/token", {"username": username, "password": PASSWORD}).json()
        self.refresh_token = pair["refresh_token"]
        self.api = Api(Authorization=f"Bearer {pair['access_token']}", **headers)

    def get(self, path: str) -> Any:
        return self.api.get(path)

    def refresh(self) -> Any:
        return Api().post("/v1/auth/token/refresh", {"refresh_token": self.refresh_token})


def root() -> Client:
    client = Client()
    client.force_login(a_user("root", is_staff=True, is_superuser=True))
    return client


def saved(user: User) -> None:
    user.set_password(NEW_PASSWORD)
    user.save()


def updated(user: User) -> None:
    user.set_password(NEW_PASSWORD)
    User.objects.filter(pk=user.pk).update(password=user.password)


def typed_into_the_admin(user: User) -> None:
    form = {"usable_password": "true", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    assert root().post(f"/admin/users/user/{user.pk}/password/", form).status_code == 302


def changed_by_the_command(user: User) -> None:
    with patch("getpass.getpass", return_value=NEW_PASSWORD):
        call_command("changepassword", user.username, stdout=StringIO())


def changed_by_sql(user: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE users_user SET password = 'md5$x$y' WHERE id = %s", [user.pk])


def deactivated_by_update(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def deactivated_in_the_admin(user: User) -> None:
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    form = {"username": user.username, "email": user.email, **joined}
    assert root().post(f"/admin/users/user/{user.pk}/change/", form).status_code == 302


ENDS = [saved, updated, typed_into_the_admin, changed_by_the_command, changed_by_sql]
ENDS += [deactivated_by_update, deactivated_in_the_admin]


@pytest.mark.parametrize("end", ENDS)
def test_a_new_password_or_a_deactivation_ends_every_session_however_it_comes(end: Callable[[User], None]) -> None:
    user, other = a_user("ada"), Device(a_user("bob").username)
    devices = [Device("ada"), Device("ada")]
    end(user)
    # Being active again does not bring them back.
    User.objects.filter(pk=user.pk).update(is_active=True)
    assert [device.refresh().status_code for device in devices] == [401, 401]
    assert [device.get("/v1/users/me").json() for device in devices] == [{"detail": "Session has ended"}] * 2
    assert not RefreshSession.objects.filter(user=user, revoked_at=None).exists()
    assert (other.get("/v1/users/me").status_code, other.refresh().status_code) == (200, 200)


def test_what_does_not_touch_password_or_activity_ends_nothing() -> None:
    user = a_user("ada")
    device = Device("ada")
    user.first_name = "Ada"
    user.save()
    assert device.refresh().status_code == 200


def test_a_sign_in_that_was_under_way_with_the_old_password_does_not_outlive_it() -> None:
    user = a_user("ada")
    seen = User.objects.get(pk=user.pk)
    saved(user)
    session, token = start_session(user=seen, client=Origin())
    assert session.revoked_at is None
    refused = Api().post("/v1/auth/token/refresh", {"refresh_token": token})
    assert refused.json() == {"detail": "Refresh token expired or revoked"}
    session.refresh_from_db()
    assert session.revoked_at is not None


def test_a_session_of_which_nobody_knows_what_password_opened_it_is_over() -> None:
    a_user("ada")
    device = Device("ada")
    RefreshSession.objects.update(auth_hash="")  # as the migration leaves those that were there before it
    assert [device.get("/v1/users/me").status_code, device.refresh().status_code] == [401, 401]


def test_you_see_where_you_are_signed_in_and_which_of_it_is_here() -> None:
    a_user("ada")
    phone, laptop, _ = (Device("ada", **{"User-Agent": agent}) for agent in ("phone", "laptop", "lost"))
    Device(a_user("bob").username)
    RefreshSession.objects.filter(user_agent="lost").update(revoked_at=timezone.now())
    sessions = laptop.get("/v1/auth/sessions").json()
    assert [(each["user_agent"], each["current"]) for each in sessions] == [("laptop", True), ("phone", False)]
    assert set(sessions[0]) == {
        "id", "created_at", "last_used_at", "expires_at", "user_agent", "ip_address", "current",
    }  # fmt: skip
    assert phone.get("/v1/auth/sessions").json()[1]["current"]


def test_you_sign_out_everywhere_at_once() -> None:
    a_user("ada")
    devices, other = [Device("ada"), Device("ada")], Device(a_user("bob").username)
    response = devices[0].api.delete("/v1/auth/sessions")
    assert (response.status_code, response.json()) == (200, {"revoked": 2})
    assert [device.get("/v1/users/me").status_code for device in devices] == [401, 401]
    assert [device.refresh().status_code for device in devices] == [401, 401]
    assert other.get("/v1/users/me").status_code == 200


def test_you_sign_one_device_out_and_only_your_own() -> None:
    a_user("ada")
    phone, laptop, other = Device("ada"), Device("ada"), Device(a_user("bob").username)
    session = phone.get("/v1/auth/sessions").json()[1]
    assert other.api.delete(f"/v1/auth/sessions/{session['id']}").json() == {"detail": "Session not found"}
    assert laptop.api.delete(f"/v1/auth/sessions/{session['id']}").status_code == 204
    assert laptop.api.delete(f"/v1/auth/sessions/{uuid4()}").status_code == 404
    assert (phone.get("/v1/users/me").status_code, laptop.get("/v1/users/me").status_code) == (401, 200)


def test_a_revoked_or_replayed_refresh_token_takes_its_access_token_along() -> None:
    a_user("ada")
    revoked, replayed = Device("ada"), Device("ada")
    revoked.api.post("/v1/auth/token/revoke", {"refresh_token": revoked.refresh_token})
    replayed.refresh()
    assert replayed.get("/v1/users/me").status_code == 200
    replayed.refresh()
    assert [device.get("/v1/users/me").status_code for device in (revoked, replayed)] == [401, 401]


@pytest.mark.parametrize("method", ["get", "delete"])
def test_nobody_sees_or_ends_sessions_without_a_token(method: str) -> None:
    assert getattr(Api(), method)("/v1/auth/sessions").status_code == 401


def test_an_admin_revokes_sessions_and_that_is_on_record() -> None:
    a_user("ada")
    phone, laptop = Device("ada"), Device("ada")
    session = RefreshSession.objects.last()
    assert session is not None
    form = {"action": "revoke", "_selected_action": [session.pk]}
    browser = root()
    browser.post("/admin/users/refreshsession/", form)
    assert [device.refresh().status_code for device in (phone, laptop)] == [401, 200]
    assert "evoked" in browser.get(f"/admin/users/refreshsession/{session.pk}/history/").content.decode()


def test_revoking_needs_the_permission_to_change_sessions() -> None:
    device, client = Device(a_user("ada").username), Client()
    form = {"action": "revoke", "_selected_action": [session.pk for session in RefreshSession.objects.all()]}
    for permission, status in (("view_refreshsession", 200), ("change_refreshsession", 401)):
        client.force_login(staff(permission))
        client.post("/admin/users/refreshsession/", form)
        assert device.get("/v1/users/me").status_code == status


def test_no_token_is_logged_when_sessions_begin_go_on_and_end() -> None:
    a_user("ada")
    with capture_logs() as lines:
        device = Device("ada")
        device.refresh()
        device.refresh()
    assert device.refresh_token not in str(lines)
    assert device.api.headers["Authorization"].removeprefix("Bearer ") not in str(lines)

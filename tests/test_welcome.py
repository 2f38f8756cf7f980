"""Who signs up is welcomed by mail: once, and only if the account is kept."""

from typing import Any

import pytest
from django.db import transaction

from notifications.schemas import WelcomeResult
from project.registry import registry
from project.tasks.models import TaskRun
from project.tasks.testing import assert_idempotent
from tests.people import PASSWORD, Api, a_user
from users.models import User
from users.signing_up import sign_up

pytestmark = pytest.mark.django_db


def runs(task: str) -> list[dict[str, Any]]:
    return list(TaskRun.objects.filter(task=task).values_list("arguments", flat=True))


def mails() -> list[dict[str, Any]]:
    return runs("send_email")


def register(**changes: str) -> User:
    return sign_up(**{"username": "ada", "email": "ada@example.com", "password": PASSWORD} | changes)


def test_signing_up_sends_a_welcome() -> None:
    body = {"username": "ada", "email": "ada@example.com", "password": PASSWORD}
    user_id = Api().post("/v1/users/", body).json()["id"]
    assert runs("notifications.send_welcome_email") == [{"user_id": user_id}]


def test_an_account_that_is_not_kept_is_not_welcomed() -> None:
    with transaction.atomic():
        register()
        transaction.set_rollback(True)
    assert not TaskRun.objects.exists()


def test_a_refused_sign_up_sends_nothing() -> None:
    register()
    body = {"username": "ADA", "email": "other@example.com", "password": PASSWORD}
    assert Api().post("/v1/users/", body).status_code == 409
    assert TaskRun.objects.count() == 1


def test_the_welcome_names_the_person_and_leads_to_the_service() -> None:
    user = register(first_name="<Ada>")
    assert registry.notifications_send_welcome_email(user_id=user.pk) == WelcomeResult(sent=True)
    (mail,) = mails()
    assert (mail["to"], mail["subject"]) == ("ada@example.com", "Welcome, <Ada>")
    assert "Hello <Ada>," in mail["text"]
    assert "Hello &lt;Ada&gt;," in mail["html"]
    assert "http://127.0.0.1:8000/" in mail["text"]
    user.refresh_from_db()
    assert user.welcomed_at is not None


def test_nobody_is_welcomed_twice() -> None:
    user = register()
    results = [registry.notifications_send_welcome_email(user_id=user.pk) for _ in range(2)]
    assert [result.sent for result in results] == [True, False]
    assert len(mails()) == 1


def test_a_crash_anywhere_in_a_welcome_leaves_one_mail() -> None:
    user = register()
    assert_idempotent(
        registry.notifications_send_welcome_email,
        snapshot=lambda: (len(mails()), User.objects.get().welcomed_at is None),
        user_id=user.pk,
    )


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"is_active": False}, "they are not active"),
        ({"email": ""}, "they have no address"),
        (None, "the user is gone"),
    ],
)
def test_who_cannot_be_welcomed_is_skipped(columns: dict[str, Any] | None, reason: str) -> None:
    user = a_user()
    user_id = user.pk
    if columns is None:
        user.delete()
    else:
        User.objects.update(**columns)
    assert registry.notifications_send_welcome_email(user_id=user_id) == WelcomeResult(sent=False, reason=reason)
    assert mails() == []

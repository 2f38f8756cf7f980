"""What `manage.py up` makes of a database before it starts the service."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from project.tasks.models import TaskRun
from project.up import preparation
from project.up.preparation import (
    DEMO_TODOS,
    NotAnsweringError,
    add_demo_people,
    check_servers_answer,
    prepare_database,
)
from todo.models import Todo


def test_an_empty_database_gets_people_who_can_sign_in_and_todos_to_see(db: None) -> None:
    assert add_demo_people()
    admin, demo = get_user_model().objects.order_by("username")
    assert (admin.username, admin.is_superuser, demo.is_staff) == ("admin", True, False)
    assert admin.check_password("admin")
    assert demo.check_password("demo")
    assert dict(Todo.objects.filter(user=demo).values_list("title", "completed")) == DEMO_TODOS


def test_a_database_in_which_somebody_has_an_account_is_left_alone(db: None) -> None:
    get_user_model().objects.create_user(username="somebody")
    assert not add_demo_people()
    assert get_user_model().objects.count() == 1


@pytest.mark.parametrize(("environment", "people"), [("development", 2), ("staging", 0), ("production", 0)])
def test_only_in_development_are_there_people_whose_passwords_everybody_knows(
    transactional_db: None, broker: Any, settings: Any, environment: str, people: int
) -> None:
    settings.ENVIRONMENT_NAME = environment
    prepare_database()
    assert get_user_model().objects.count() == people
    assert TaskRun.objects.filter(task="ping").count() == 1


def test_servers_that_answer_are_fine(db: None) -> None:
    check_servers_answer()


def test_a_broker_that_does_not_answer_is_named_with_what_to_do(db: None, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(NotAnsweringError, match=r"REDIS_URL does not answer .*unset REDIS_URL"):
        check_servers_answer()


def test_a_database_that_does_not_answer_is_named_with_what_to_do(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "TIMEOUT_SECONDS", 2)
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    with pytest.raises(NotAnsweringError, match=r"DATABASE_URL does not answer .*unset DATABASE_URL") as refused:
        check_servers_answer()
    assert "\n" not in str(refused.value)

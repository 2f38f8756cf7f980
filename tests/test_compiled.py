"""Queries that are compiled once ask the same as those that Django compiles each time."""

from threading import Thread

import pytest
from django.db import NotSupportedError, connection, transaction

from project.database.compiled import CompiledQuery, columns_of, given
from tests.people import a_user
from todo.models import Todo
from todo.services import create_todo
from users.models import RefreshSession

pytestmark = pytest.mark.django_db


def test_each_use_has_values_of_its_own() -> None:
    query = CompiledQuery(lambda: Todo.objects.filter(user=given("user_id")).values_list("title"))
    first, second = a_user(), a_user()
    for user in (first, second):
        create_todo(user=user, title=f"of {user.pk}")
    for user in (first, second):
        assert query.rows(user_id=user.pk) == [(f"of {user.pk}",)]


def test_a_value_that_would_be_the_same_at_every_use_is_refused() -> None:
    query = CompiledQuery(lambda: Todo.objects.filter(title="the first user's").values_list("title"))
    with pytest.raises(ValueError, match="the first user's"):
        query.rows()


def test_columns_are_in_the_order_of_the_model_whatever_is_asked_for() -> None:
    assert columns_of(RefreshSession, only={"revoked_at", "id", "auth_hash"}) == ["id", "auth_hash", "revoked_at"]


def test_a_query_goes_on_where_a_migration_gave_its_columns_another_type(transactional_db: None) -> None:
    query = CompiledQuery(lambda: Todo.objects.filter(user=given("user_id")).values_list("title"))
    user = a_user()
    create_todo(user=user, title="short")
    try:
        assert query.rows(user_id=user.pk) == [("short",)]
        _let_somebody_else_alter_titles("varchar(201)")
        assert query.rows(user_id=user.pk) == [("short",)]
        _let_somebody_else_alter_titles("varchar(202)")
        with pytest.raises(NotSupportedError), transaction.atomic():
            query.rows(user_id=user.pk)
        assert query.rows(user_id=user.pk) == [("short",)]
    finally:
        _let_somebody_else_alter_titles("varchar(200)")


def _let_somebody_else_alter_titles(to: str) -> None:
    def alter() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE todo_todo ALTER COLUMN title TYPE {to}")
        connection.close()

    migration = Thread(target=alter)
    migration.start()
    migration.join()

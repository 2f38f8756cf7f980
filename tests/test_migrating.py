"""Migrating beside a service that runs: whoever uses a table is not kept waiting."""

from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from project.database.management.commands import migrate
from tests.eventually import eventually
from tests.locks import elsewhere, in_a_thread

BEFORE, AFTER = "0001_initial", "0002_due_dates"

pytestmark = pytest.mark.django_db(transaction=True)


def columns() -> set[str]:
    with connection.cursor() as cursor:
        return {column.name for column in connection.introspection.get_table_description(cursor, "todo_todo")}


@pytest.fixture
def before() -> Iterator[None]:
    """Todos as they were before they had a due time."""
    call_command("migrate", "todo", BEFORE, verbosity=0)
    yield
    call_command("migrate", "todo", AFTER, verbosity=0)


def test_a_migration_that_does_not_get_its_lock_lets_others_go_on_and_is_tried_again(before: None) -> None:
    told = StringIO()
    with in_a_thread(lambda: call_command("migrate", "todo", AFTER, verbosity=0, stderr=told)) as migrating:
        with elsewhere() as reader:
            reader.execute("SELECT count(*) FROM todo_todo")
            eventually(lambda: "trying again" in told.getvalue())
            # The transaction of the reader is still open: a lock that waited for it would make this one wait, too.
            with elsewhere() as writer:
                writer.execute("SET lock_timeout = '5s'")
                writer.execute("UPDATE todo_todo SET completed = true")
        migrating.join(timeout=10)
    assert "due_at" in columns()


def test_a_migration_that_never_gets_its_lock_ends_with_the_cure(before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "MOST_TRIES", 1)
    with elsewhere() as reader:
        reader.execute("SELECT count(*) FROM todo_todo")
        with pytest.raises(CommandError, match="pg_stat_activity"):
            call_command("migrate", "todo", AFTER, verbosity=0, stderr=StringIO())
    assert "due_at" not in columns()


def test_what_is_built_beside_the_work_may_wait() -> None:
    with connection.schema_editor(atomic=False), connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone()[0] == "0"

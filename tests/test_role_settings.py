"""What somebody has set for the role or the database changes nothing that the service relies on."""

from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from project.database.access import new_connection, using
from project.database.sessions import Session
from project.tasks.sending.slots import has_room
from project.tasks.sending.starts import lock_limit
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)

_SET = {"default_transaction_isolation": "serializable", "timezone": "Pacific/Chatham"}


@pytest.fixture
def set_for_the_database() -> Iterator[None]:
    """Let new sessions begin as somebody wants them; the process's connections are made anew."""
    name = connection.ops.quote_name(str(connection.settings_dict["NAME"]))
    with connection.cursor() as cursor:
        for setting, value in _SET.items():
            cursor.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    _connect_anew()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RESET ALL")
    _connect_anew()


def _connect_anew() -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]


def _isolation() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        return str(cursor.fetchone()[0])


@pytest.mark.parametrize("session", [Session(), Session(is_lent=True), Session((("lock_timeout", "2s"),))])
def test_transactions_are_read_committed_whatever_is_set(set_for_the_database: None, session: Session) -> None:
    for _ in range(2):  # a new session, and one that was used and put right
        with using(new_connection(session)):
            seen = {_isolation()}
            with transaction.atomic():
                seen.add(_isolation())
            connection.close()
        assert seen == {"read committed"}


def test_behind_a_pooler_each_transaction_says_it(set_for_the_database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.own_pool, "_keeps_sessions", False)  # type: ignore[attr-defined]
    with transaction.atomic():
        assert _isolation() == "read committed"


def test_who_has_waited_for_slots_sees_those_that_were_taken_meanwhile(set_for_the_database: None) -> None:
    with transaction.atomic():
        lock_limit("tests.alone")
        with using(new_connection(Session())):
            a_run("running", task="tests.alone", limit_key="tests.alone")
            connection.close()
        assert not has_room("tests.alone", queue="default")

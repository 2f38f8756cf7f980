"""The process's database connections: few, alive, and there as soon as the server is."""

import gc
import threading
from collections.abc import Iterator

import psycopg
import pytest
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from project.database.access import new_connection, this_connection, using
from project.database.base import DatabaseWrapper
from project.database.pool import Pool
from project.database.sessions import Session
from project.embedded.server import free_port
from project.health import probes

pytestmark = pytest.mark.django_db(transaction=True)


def _backend(wrapper: DatabaseWrapper) -> int:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _end_all_sessions() -> None:
    """End what the server knows of this process, as its restart does."""
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def idle() -> list[int]:
    """Six idle connections, as the threads of a web process leave them; returns their backends."""
    wrappers = [new_connection(Session()) for _ in range(6)]
    backends = [_backend(wrapper) for wrapper in wrappers]
    for wrapper in wrappers:
        wrapper.close()
    connection.close()
    return backends


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """A pool of two connections for whoever asks for one."""
    pool = Pool(max_size=2, timeout=0.2, keeps_sessions=True)
    with monkeypatch.context() as patched:
        patched.setattr(DatabaseWrapper, "own_pool", pool)
        yield pool
        pool.close()


def nobody_waits(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be an error to wait for a connection."""
    monkeypatch.setattr(pool._changed, "wait", lambda _timeout: pytest.fail("somebody waits for a connection"))


def test_the_first_query_after_a_restart_of_the_server_is_answered_at_once(
    idle: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _end_all_sessions()
    nobody_waits(this_connection().own_pool, monkeypatch)
    assert _backend(this_connection()) not in idle


def test_readyz_is_ok_right_after_a_restart_of_the_server(
    idle: list[int], client: Client, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(probes, "_answer", None)
    settings.READINESS_PROBES = ["project.health.probes.database"]
    _end_all_sessions()
    assert client.get("/readyz").status_code == 200


def test_readyz_says_so_when_only_the_pool_is_exhausted(
    small_pool: Pool, client: Client, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(probes, "_answer", None)
    settings.READINESS_PROBES = []
    connection.close()
    holders = [new_connection(Session()) for _ in range(2)]
    assert all(_backend(holder) for holder in holders)
    response = client.get("/readyz")
    for holder in holders:
        holder.close()
    assert (response.status_code, list(response.json()["failing"])) == (503, ["database"])


def test_a_server_that_is_away_is_noticed_at_once_and_its_return_too(
    small_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody_waits(small_pool, monkeypatch)
    away = DatabaseWrapper(this_connection().settings_dict | {"HOST": "127.0.0.1", "PORT": str(free_port())}, "default")
    for _ in range(5):
        with pytest.raises(OperationalError):
            away.ensure_connection()
    back = new_connection(Session())
    assert _backend(back)
    back.close()


def test_who_finds_every_connection_used_waits_for_one(small_pool: Pool) -> None:
    first, second, third = (new_connection(Session()) for _ in range(3))
    backends = {_backend(first), _backend(second)}
    with pytest.raises(OperationalError, match="DATABASE_POOL_SIZE"):
        third.ensure_connection()
    threading.Timer(0.05, first.close).start()
    assert _backend(third) in backends
    second.close()
    third.close()


def test_a_thread_that_ends_without_closing_its_connection_frees_its_place(small_pool: Pool) -> None:
    for _ in range(3):
        thread = threading.Thread(target=lambda: _backend(this_connection()))
        thread.start()
        thread.join()
        gc.collect()
    third = new_connection(Session())
    assert _backend(third)
    third.close()


def test_what_was_lent_is_never_used_by_those_who_do_not_lend(small_pool: Pool) -> None:
    lent, own = new_connection(Session(is_lent=True)), new_connection(Session())
    backend = _backend(lent)
    lent.close()
    assert _backend(own) != backend
    own.close()


def test_a_session_is_set_as_its_user_asks_and_reset_for_the_next(small_pool: Pool) -> None:
    seen = []
    for session in (Session((("work_mem", "1MB"),)), Session((("work_mem", "2MB"),)), Session()):
        wrapper = new_connection(session)
        with using(wrapper), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('work_mem'), current_setting('TimeZone'), pg_backend_pid()")
            seen.append(cursor.fetchone())
        wrapper.close()
    assert [row[:2] for row in seen] == [("1MB", "UTC"), ("2MB", "UTC"), ("4MB", "UTC")]
    assert len({row[2] for row in seen}) == 1


def test_a_connection_closed_in_a_transaction_is_not_used_by_another(small_pool: Pool) -> None:
    wrapper = new_connection(Session())
    backend = _backend(wrapper)
    wrapper.set_autocommit(False)
    assert _backend(wrapper) == backend
    wrapper.close()
    assert _backend(wrapper) != backend
    wrapper.close()

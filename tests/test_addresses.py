"""Which addresses of Redis are understood, and what it means when it does not answer."""

import pytest
import redis
from dramatiq.errors import ConnectionClosed
from redis.connection import SSLConnection, UnixDomainSocketConnection
from redis.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection

from project.broker.addresses import connect, lost_connections


def test_a_plain_address_gives_up_in_time_and_never_retries() -> None:
    client = connect("redis://:secret@example.test:7000/2")

    options = client.connection_pool.connection_kwargs
    assert (options["host"], options["port"], options["db"], options["password"]) == ("example.test", 7000, 2, "secret")
    assert options["socket_timeout"] == 3
    assert options["retry"].get_retries() == 0


@pytest.mark.parametrize(
    ("url", "kind"), [("rediss://example.test", SSLConnection), ("unix:///run/valkey", UnixDomainSocketConnection)]
)
def test_encrypted_and_local_addresses_are_understood(url: str, kind: type) -> None:
    pool = connect(url).connection_pool

    assert pool.connection_class is kind
    assert pool.connection_kwargs["retry"].get_retries() == 0


def test_sentinels_are_asked_for_the_named_primary() -> None:
    client = connect("redis+sentinel://ann:p%40ss@one:1,two,[::1]:3/main/4?sentinel_password=hush")

    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(each["host"], each["port"]) for each in asked] == [("one", 1), ("two", 26379), ("::1", 3)]
    assert {each["password"] for each in asked} == {"hush"}
    assert pool.service_name == "main"
    options = pool.connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("ann", "p@ss", 4)


def test_sentinels_can_lead_to_an_encrypted_primary() -> None:
    pool = connect("rediss+sentinel://one:1/main").connection_pool

    assert pool.connection_class is SentinelManagedSSLConnection


def test_an_address_without_a_primary_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="names no primary"):
        connect("redis+sentinel://one:1")


@pytest.mark.parametrize(
    "error",
    [
        redis.TimeoutError(),
        redis.ConnectionError(),
        redis.ReadOnlyError(),
        redis.ResponseError("UNBLOCKED force unblock from blocking operation"),
    ],
)
def test_every_way_of_not_answering_is_a_lost_connection(error: Exception) -> None:
    with pytest.raises(ConnectionClosed), lost_connections():
        raise error


def test_a_refusal_is_not_a_lost_connection() -> None:
    with pytest.raises(redis.ResponseError), lost_connections():
        raise redis.ResponseError("OOM command not allowed")

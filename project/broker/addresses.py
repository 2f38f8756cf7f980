"""Where Redis or Valkey is, and what a client does when it does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

import redis
from dramatiq.errors import ConnectionClosed
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

#: One packet may be lost and sent again, after a second; a server that takes longer is away.
CONNECT_TIMEOUT = timedelta(seconds=2)
#: Longer than the longest blocking wait (1 s), and as long as somebody who sends is made to wait at most.
REPLY_TIMEOUT = timedelta(seconds=3)
DEFAULT_SENTINEL_PORT = 26379

_LOST = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.exceptions.NoScriptError)
_LOST_REPLIES = ("UNBLOCKED", "MASTERDOWN", "NOREPLICAS")


def connect(
    url: str,
    *,
    socket_timeout: float = REPLY_TIMEOUT.total_seconds(),
    connect_timeout: float = CONNECT_TIMEOUT.total_seconds(),
) -> redis.Redis:
    """Make a client that gives up in time and never sends a command twice.

    Args:
        url: `redis://`, `rediss://`, `unix://` as redis-py documents them, or
            `redis+sentinel://[user:password@]host:port,host:port/primary[/db]` (`rediss+sentinel://` for TLS
            to the primary; `sentinel_username` and `sentinel_password` as query arguments).
        socket_timeout: Seconds that one reply may take. Longer than the broker's longest blocking wait (1 s).
        connect_timeout: Seconds that a connection may take.

    Raises:
        ValueError: If an address with sentinels does not say which primary they watch.
    """
    options: dict[str, Any] = {
        "socket_timeout": socket_timeout,
        "socket_connect_timeout": connect_timeout,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
    }
    if "+sentinel://" in url:
        return _connect_by_sentinel(url, options)
    if url.startswith("unix://"):
        del options["socket_connect_timeout"], options["socket_keepalive"]
    return redis.Redis.from_url(url, **options)


def _connect_by_sentinel(url: str, options: dict[str, Any]) -> redis.Redis:
    # Not by urlsplit: it takes a list of hosts for one, and newer Pythons refuse one with brackets in the middle.
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    credentials, _, addresses = authority.rpartition("@")
    username, _, password = credentials.partition(":")
    primary, _, db = path.strip("/").partition("/")
    if not primary:
        raise ValueError(f"{url!r} names no primary: write redis+sentinel://host:port,host:port/primary")
    queries = dict(parse_qsl(query))
    login = {key: queries[f"sentinel_{key}"] for key in ("username", "password") if f"sentinel_{key}" in queries}
    sentinel = Sentinel(
        [_host_and_port(address) for address in addresses.split(",")],
        sentinel_kwargs={**options, "socket_timeout": options["socket_connect_timeout"], **login},
    )
    client: redis.Redis = sentinel.master_for(
        primary,
        db=int(db or 0),
        username=unquote(username) or None,
        password=unquote(password) or None,
        ssl=scheme.startswith("rediss"),
        **options,
    )
    return client


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if host else (address, DEFAULT_SENTINEL_PORT)


@contextmanager
def lost_connections() -> Iterator[None]:
    """Turn everything that means "the primary did not answer" into Dramatiq's `ConnectionClosed`.

    Time-outs are not a `ConnectionError` to redis-py, and a demoted primary answers with ordinary errors.

    Raises:
        ConnectionClosed: If the connection was lost; the command may or may not have been carried out.
    """
    try:
        yield
    except redis.RedisError as error:
        if isinstance(error, _LOST) or str(error).startswith(_LOST_REPLIES):
            raise ConnectionClosed(error) from error
        raise

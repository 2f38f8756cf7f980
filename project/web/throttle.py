"""How often a client may do what costs us: sign-in attempts, sign-ups, token exchanges."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from ipaddress import ip_network
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.http import HttpRequest
from limits import parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from ninja.throttling import BaseThrottle

from project.broker.addresses import connect
from project.environment import environment
from project.web.client_address import client_address

#: In seconds: a dead Redis must not hold a request up for longer than this,
_REDIS_TIMEOUT_SECONDS = 0.5
#: nor every request: for so long it is not asked again.
_SHUN_SECONDS = 5.0

T = TypeVar("T")
log = structlog.get_logger(__name__)
_shunned_until: dict[str, float] = {}


def network(request: HttpRequest) -> str:
    """Return what counts as one client: an IPv4 address, or an IPv6 /64, which is what one customer gets."""
    return network_of(client_address(request))


def network_of(address: str | None) -> str:
    """Return the network of an address; see `network`."""
    if address is None or ":" not in address:
        return address or "unknown"
    return str(ip_network(f"{address}/64", strict=False))


def signed_in_user(request: HttpRequest) -> str:
    """Return the id of the user who signed the request."""
    return str(request.user.pk)


def sign_in_limit() -> str:
    """Return how often one client may do what signing in takes."""
    limit: str = settings.AUTH_RATE_LIMIT
    return limit


class Window:
    """So many in a moving window, over all processes, counted in Redis.

    While Redis does not answer, or is full, each process counts for itself: what is limited is then still limited,
    only less exactly, and never fails because of the limit.

    Args:
        scope: What is counted; each scope has windows of its own.
        limit: Returns how many in what time, such as `10/minute`.
    """

    def __init__(self, scope: str, *, limit: Callable[[], str]) -> None:
        self.scope = scope
        self._limit = limit

    def hit(self, *key: str) -> float | None:
        """Count one more, unless the window is full; then return the seconds until it has room."""
        limit = parse(self._limit())

        def count(limiter: MovingWindowRateLimiter) -> float | None:
            if limiter.hit(limit, self.scope, *key):
                return None
            return max(1.0, limiter.get_window_stats(limit, self.scope, *key).reset_time - time.time())

        return _counting(count)

    def clear(self, *key: str) -> None:
        """Forget what was counted."""
        limit = parse(self._limit())
        _counting(lambda limiter: limiter.clear(limit, self.scope, *key))


class Throttle(BaseThrottle):
    """Lets no more requests of one client through than a window has room for.

    Args:
        window: Where they are counted; a page that does the same counts there, too.
        by: What tells one client from another.
    """

    def __init__(self, window: Window, *, by: Callable[[HttpRequest], str] = network) -> None:
        self.by = by
        self._window = window
        # ninja asks for wait() in a second call, and one object serves all threads.
        self._local = threading.local()

    def allow_request(self, request: HttpRequest) -> bool:
        """Count the request, unless the window is full."""
        self._local.wait = self._window.hit(self.by(request))
        return self._local.wait is None

    def wait(self) -> float | None:
        """Return the seconds until the window has room again, for the request just refused."""
        seconds: float | None = self._local.wait
        return seconds


def remember(*key: str, lasts: timedelta) -> None:
    """Remember something for a while, in all processes."""
    _counting(lambda limiter: _storage(limiter).incr("/".join(key), int(lasts.total_seconds())))


def is_remembered(*key: str) -> bool:
    """Tell whether something is remembered."""
    count: int = _counting(lambda limiter: _storage(limiter).get("/".join(key)))
    return count > 0


def _counting(count: Callable[[MovingWindowRateLimiter], T]) -> T:
    """Count in Redis; in this process while Redis refuses."""
    url = settings.REDIS_URL
    if time.monotonic() >= _shunned_until.get(url, 0):
        try:
            return count(_shared(url))
        except StorageError as error:
            _shunned_until[url] = time.monotonic() + _SHUN_SECONDS
            cure = "see whether Redis answers at REDIS_URL; until then each process counts for itself"
            log.warning("throttle_without_redis", error=repr(error), cure=cure)
    return count(_own())


def _storage(limiter: MovingWindowRateLimiter) -> Any:
    return limiter.storage


@cache
def _shared(url: str) -> MovingWindowRateLimiter:
    client = connect(url, socket_timeout=_REDIS_TIMEOUT_SECONDS, connect_timeout=_REDIS_TIMEOUT_SECONDS)
    storage = RedisStorage(
        "redis://",  # the client knows better, of a Sentinel or a socket too
        connection_pool=client.connection_pool,
        key_prefix=f"{environment.broker_namespace}-throttle",
        wrap_exceptions=True,
    )
    return MovingWindowRateLimiter(storage)


@cache
def _own() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())

"""How often a client may do what costs us: sign-in attempts, sign-ups, token exchanges."""

import threading
import time
from collections.abc import Callable
from functools import cache
from ipaddress import ip_network

import structlog
from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from ninja.throttling import BaseThrottle

from project.client_address import client_address
from project.environment import environment

#: A dead Redis must not hold a request up for longer than this.
_REDIS_TIMEOUT = 0.5

_log = structlog.get_logger(__name__)


def network(request: HttpRequest) -> str:
    """Return what counts as one client: an IPv4 address, or an IPv6 /64, which is what one customer gets."""
    address = client_address(request)
    if address is None or ":" not in address:
        return address or "unknown"
    return str(ip_network(f"{address}/64", strict=False))


def signed_in_user(request: HttpRequest) -> str:
    """Return the id of the user who signed the request."""
    return str(request.user.pk)


class Throttle(BaseThrottle):
    """A moving window over all processes, counted in Redis.

    While Redis does not answer each process counts for itself: a sign-in is then still limited, only less exactly,
    and never fails because of the limit.

    Args:
        scope: What is limited; each scope has windows of its own.
        by: What tells one client from another.
    """

    def __init__(self, scope: str, *, by: Callable[[HttpRequest], str] = network) -> None:
        self.scope = scope
        self.by = by
        # ninja asks for wait() in a second call, and one object serves all threads.
        self._local = threading.local()

    def allow_request(self, request: HttpRequest) -> bool:
        """Count the request, unless the window is full."""
        limit, key = parse(settings.AUTH_RATE_LIMIT), (self.scope, self.by(request))
        try:
            return self._count(_shared(settings.REDIS_URL), limit, key)
        except StorageError as error:
            _log.warning("the throttle cannot reach Redis and counts in this process", error=repr(error))
            return self._count(_own(), limit, key)

    def wait(self) -> float | None:
        """Return the seconds until the window has room again, for the request just refused."""
        reset_at: float = self._local.reset_at
        return max(1.0, reset_at - time.time())

    def _count(self, limiter: MovingWindowRateLimiter, limit: RateLimitItem, key: tuple[str, str]) -> bool:
        allowed = limiter.hit(limit, *key)
        if not allowed:
            self._local.reset_at = limiter.get_window_stats(limit, *key).reset_time
        return allowed


@cache
def _shared(url: str) -> MovingWindowRateLimiter:
    storage = RedisStorage(
        url,
        key_prefix=f"{environment.broker_namespace}-throttle",
        wrap_exceptions=True,
        socket_timeout=_REDIS_TIMEOUT,
        socket_connect_timeout=_REDIS_TIMEOUT,
    )
    return MovingWindowRateLimiter(storage)


@cache
def _own() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())

"""Until when messages without a row may start, measured on the broker's clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import dramatiq
from dramatiq.common import current_millis

from project.broker.addresses import lost_connections
from project.broker.service import BROKER_ERRORS, broker
from project.tasks.declaration import Call
from project.tasks.sending.options import Options

#: The message's option that says until when it may start, in milliseconds since 1970.
LAST_START: Final = "last_start"


def last_starts(calls: Sequence[Call[Any]], options: Options) -> list[int | None]:
    """Return until when each call may start, in milliseconds on the broker's clock; None for ever.

    Raises:
        redis.RedisError: If the broker cannot be asked for the time.
    """
    expiries = [call.task.policy.expires if options.expires is None else options.expires for call in calls]
    now = _brokers_time() if any(isinstance(expires, timedelta) for expires in expiries) else 0
    return [_moment(expires, now=now) for expires in expiries]


def is_too_late(message: dramatiq.Message[Any]) -> bool:
    """Tell whether a message was to start before now."""
    until = message.options.get(LAST_START)
    return until is not None and until < _now()


def _moment(expires: timedelta | datetime | None, *, now: int) -> int | None:
    if isinstance(expires, timedelta):
        return now + int(expires.total_seconds() * 1000)
    return None if expires is None else int(expires.timestamp() * 1000)


def _brokers_time() -> int:
    with lost_connections():
        seconds, microseconds = broker().client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def _now() -> int:
    try:
        return _brokers_time()
    except BROKER_ERRORS:
        return current_millis()

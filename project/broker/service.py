"""The broker of this process, and what it raises when it cannot be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import redis
from dramatiq.broker import get_broker
from dramatiq.errors import BrokerConnectionError

if TYPE_CHECKING:
    from project.broker.broker import ServiceBroker

#: What the broker raises when it cannot be reached.
BROKER_ERRORS = (redis.RedisError, BrokerConnectionError)


def broker() -> ServiceBroker:
    """Return the service's broker, which Django's settings describe."""
    return cast("ServiceBroker", get_broker())

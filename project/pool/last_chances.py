"""How a pool gives runs on their last chance a process of their own.

Its ordinary processes tell the supervisor when such runs wait, and it starts a process of one thread for them, which
ends once nothing has come for some seconds. Why they need one: `project.tasks.sending.last_chances`.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

import redis
import structlog
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.addresses import lost_connections
from project.broker.broker import ServiceBroker
from project.broker.dramatiq_internals import queues_asked_for
from project.pool.connection import SupervisorConnection
from project.pool.protocol import LastChancesWait
from project.tasks.sending.last_chances import queues_of_last_chances

log = structlog.get_logger(__name__)

#: How long a process for last chances stays without work: starting another takes about a second, and a dozen may come
#: one after the other when several processes have died.
IDLE = timedelta(seconds=5)
#: How often a process looks whether last chances wait, or whether it is idle: one cheap question to Redis.
LOOK_EVERY = timedelta(seconds=0.5)


class LeaveWhenIdle(Middleware):
    """Ends a process for last chances once it has had none for some seconds."""

    def after_worker_boot(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:  # type: ignore[override]
        """Start to watch."""
        threading.Thread(target=self._watch, args=[broker], name="leave-when-idle", daemon=True).start()

    def _watch(self, broker: ServiceBroker) -> None:
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < IDLE.total_seconds():
            time.sleep(LOOK_EVERY.total_seconds())
            if broker.work.unfinished_tasks:
                idle_since = time.monotonic()
        log.info("no_last_chances_left", cure="none needed: this process ends; the next last chance gets another")
        os.kill(os.getpid(), signal.SIGHUP)


class ReportLastChances(Middleware):
    """Tells the supervisor of a pool, again and again, that last chances wait.

    Args:
        connection: To the supervisor.
    """

    def __init__(self, connection: SupervisorConnection) -> None:
        self._connection = connection

    def after_worker_boot(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:  # type: ignore[override]
        """Start to look."""
        queues = sorted(queues_asked_for(worker) or ())
        threading.Thread(target=self._look, args=[broker, queues], name="last-chances", daemon=True).start()

    def _look(self, broker: ServiceBroker, queues: list[str]) -> None:
        while not broker.work.closed:
            time.sleep(LOOK_EVERY.total_seconds())
            with suppress(BrokerConnectionError, redis.RedisError):  # it is asked again
                if are_waiting(broker, queues):
                    self._connection.say(LastChancesWait())


def are_waiting(broker: ServiceBroker, queues: Iterable[str]) -> bool:
    """Tell whether last chances of these queues wait for a process to take them.

    Args:
        broker: Where they wait.
        queues: As people know them.

    Raises:
        ConnectionClosed: If the broker did not answer in time.
    """
    with lost_connections(), broker.client.pipeline(transaction=False) as pipeline:
        for queue in queues_of_last_chances(queues):
            pipeline.llen(f"{broker.namespace}:{queue}")
        return any(pipeline.execute())

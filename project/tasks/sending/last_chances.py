"""A run on its last chance has a process to itself, so that a run which kills its worker takes no other with it.

When a process dies, nobody can tell which of the runs in it is to blame: all count a death. They are tried again at
the same time and so meet again, and with the poisonous one among them the innocent ones would soon be dead too. Only
what dies while it runs alone is certainly to blame.

So the messages of last chances wait in queues of their own, which the processes of a pool leave alone. They tell
their supervisor when something waits there, and it starts a process of one thread for them, which ends once nothing
has come for some seconds. A worker without our supervisor has nobody to tell, and runs last chances among the others.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING

import redis
import structlog
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware

from project.broker.addresses import lost_connections
from project.tasks.policy import MAX_DEATHS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dramatiq.worker import Worker as DramatiqWorker

    from project.broker.broker import ServiceBroker
    from project.pool.line import Line

log = structlog.get_logger(__name__)

#: Seconds without work after which a process for last chances ends.
IDLE = 5.0
_LOOK_EVERY = 0.5
_SUFFIX = ".alone"


class Role(Enum):
    """Which part of the work a worker process does."""

    EVERYTHING = "everything"
    MEMBER = "all but last chances, which its pool runs elsewhere"
    ALONE = "last chances only"


role = Role.EVERYTHING


def take_role(mine: Role) -> None:
    """Say what this process is to do, before its worker starts."""
    global role  # noqa: PLW0603 - there is one process
    role = mine


def broker_queue(queue: str, *, deaths: int) -> str:
    """Return the broker's queue for a run.

    Args:
        queue: The run's queue.
        deaths: How many workers have died while they ran it.
    """
    return queue + _SUFFIX if deaths == MAX_DEATHS - 1 else queue


def queues_of_last_chances(queues: Iterable[str]) -> list[str]:
    """Return where the broker keeps the last chances of these queues."""
    return [queue + _SUFFIX for queue in queues]


def is_for_last_chances(queue: str) -> bool:
    """Tell whether a queue of the broker is one that people need not know."""
    return queue.endswith(_SUFFIX)


def consumed_queues(broker: ServiceBroker, worker: DramatiqWorker) -> list[str]:
    """Have a worker that is about to start consume what its process's role is, and return that as people know it."""
    named = worker.consumer_whitelist or broker.get_declared_queues()
    queues = sorted(queue for queue in named if not is_for_last_chances(queue))
    if role is Role.MEMBER:
        worker.consumer_whitelist = set(queues)
        return queues
    last_chances = queues_of_last_chances(queues)
    for queue in last_chances:
        broker.declare_queue(queue)
    worker.consumer_whitelist = set(last_chances) | (set() if role is Role.ALONE else set(queues))
    return last_chances if role is Role.ALONE else queues


def are_waiting(broker: ServiceBroker, queues: Iterable[str]) -> bool:
    """Tell whether last chances of these queues wait for somebody to take them.

    Raises:
        ConnectionClosed: If the broker did not answer in time.
    """
    with lost_connections(), broker.client.pipeline(transaction=False) as pipeline:
        for queue in queues_of_last_chances(queues):
            pipeline.llen(f"{broker.namespace}:{queue}")
        return any(pipeline.execute())


class LeaveWhenIdle(Middleware):
    """Ends a process for last chances once it has had none for some seconds."""

    def after_worker_boot(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:  # type: ignore[override]
        """Start to watch."""
        threading.Thread(target=self._watch, args=[broker], name="leave-when-idle", daemon=True).start()

    def _watch(self, broker: ServiceBroker) -> None:
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < IDLE:
            time.sleep(_LOOK_EVERY)
            if broker.work.unfinished_tasks:
                idle_since = time.monotonic()
        log.info("no_last_chances_left", cure="this process ends; the next last chance gets another")
        os.kill(os.getpid(), signal.SIGHUP)


class Report(Middleware):
    """Tells the supervisor of a pool, again and again, that last chances wait.

    Args:
        line: To the supervisor.
    """

    def __init__(self, line: Line) -> None:
        self._line = line

    def after_worker_boot(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:  # type: ignore[override]
        """Start to look."""
        queues = sorted(worker.consumer_whitelist or ())
        threading.Thread(target=self._look, args=[broker, queues], name="last-chances", daemon=True).start()

    def _look(self, broker: ServiceBroker, queues: list[str]) -> None:
        while not broker.work.closed:
            time.sleep(_LOOK_EVERY)
            with suppress(BrokerConnectionError, redis.RedisError):  # it is asked again
                if are_waiting(broker, queues):
                    self._line.say("last chances")

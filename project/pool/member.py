"""What a worker process does for its pool: it tells the supervisor how it is, and frees what dead processes held.

It is the one file of the pool that knows rows.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from dramatiq.broker import Broker, MessageProxy, get_broker
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware

from project.broker.addresses import lost_connections
from project.broker.dramatiq_internals import consumed_queues
from project.pool.connection import SupervisorConnection
from project.pool.last_chances import LeaveWhenIdle, ReportLastChances
from project.pool.protocol import Freed, FreeRunsOf, Names, Ready, ReplaceMe, RunFork
from project.tasks.loop.event_loop import event_loop_of
from project.tasks.running.database import insist
from project.tasks.running.this_worker import this_worker
from project.tasks.sending.last_chances import queues_of_last_chances
from project.tasks.upkeep.dead_workers import free_runs_of
from project.tasks.upkeep.process import WorkerProcess
from project.tasks.upkeep.roles import Role

if TYPE_CHECKING:
    from dramatiq.worker import Worker as DramatiqWorker

    from project.broker.broker import ServiceBroker

log = structlog.get_logger(__name__)

_MEBIBYTE = 1024 * 1024  # bytes


def join_pool(
    connection: SupervisorConnection,
    *,
    only_last_chances: bool,
    max_runs: int,
    max_memory: int,
    async_concurrency: int | None = None,
) -> Broker:
    """Prepare the broker for a worker process of a pool, once Django is set up, and return it.

    Args:
        connection: To the supervisor.
        only_last_chances: Whether the process runs last chances and nothing else, or all but those.
        max_runs: After how many messages the process asks to be replaced; 0 for never.
        max_memory: Above how many MiB it does; 0 for never.
        async_concurrency: How many coroutines it runs at once; by default what the settings say.
    """
    broker = get_broker()
    (process,) = [middleware for middleware in broker.middleware if isinstance(middleware, WorkerProcess)]
    process.role = Role.LAST_CHANCES if only_last_chances else Role.ALL_BUT_LAST_CHANCES
    if only_last_chances or async_concurrency:
        # Beside a shared loop, the one thread would not be alone.
        event_loop_of(broker).places = 0 if only_last_chances else async_concurrency or 0
    broker.add_middleware(LeaveWhenIdle() if only_last_chances else ReportLastChances(connection))
    broker.add_middleware(Member(connection, max_runs=max_runs, max_memory=max_memory))
    for function in forks_of_middleware():
        connection.say(RunFork(function))
    return broker


def forks_of_middleware() -> list[str]:
    """Name the functions that middleware wants to have run in processes of their own."""
    functions = [function for middleware in get_broker().middleware for function in middleware.forks]
    return [f"{function.__module__}:{function.__name__}" for function in functions]


class Member(Middleware):
    """Tells the supervisor when this process works and when to replace it, and frees what dead processes held.

    Args:
        connection: To the supervisor.
        max_runs: How many messages this process may handle; 0 for any number.
        max_memory: How many MiB it may occupy; 0 for any amount.
    """

    def __init__(self, connection: SupervisorConnection, *, max_runs: int, max_memory: int) -> None:
        self._connection = connection
        self._max_runs = max_runs
        self._max_memory = max_memory
        self._runs = 0
        self._has_asked = False

    def after_worker_boot(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:  # type: ignore[override]
        """Say that this process works and under which names, and listen."""
        names = Names(this_worker.id, broker.broker_id)
        consumed = consumed_queues(worker)
        queues = [*consumed, *queues_of_last_chances(consumed)]

        def free(message: FreeRunsOf) -> None:
            # In a thread of its own: it may wait for the database, and the connection's end must be noticed meanwhile.
            threading.Thread(target=self._free, args=[message.names, broker, queues], name="free", daemon=True).start()

        self._connection.listen(free)
        self._connection.say(Ready(names))

    def _free(self, dead: Names, broker: ServiceBroker, queues: list[str]) -> None:
        """Free at once what a process held that is dead for certain: the runs it had claimed, the messages it took."""
        freed = insist(lambda: free_runs_of(dead.worker_id))
        log.warning("dead_worker_removed", worker_id=str(dead.worker_id), runs=freed)
        _give_back_from(dead.broker_id, broker=broker, queues=queues)
        self._connection.say(Freed(dead))

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Ask, once, to be replaced when a limit is reached."""
        self._runs += 1
        if not self._has_asked and (self._has_run_enough() or self._is_too_big()):
            self._has_asked = True
            self._connection.say(ReplaceMe())

    def _has_run_enough(self) -> bool:
        return 0 < self._max_runs <= self._runs

    def _is_too_big(self) -> bool:
        return 0 < self._max_memory * _MEBIBYTE < resident_bytes()


def resident_bytes() -> int:
    """Return how much memory this process occupies; where the kernel does not say, how much it has at most."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except FileNotFoundError:
        import resource  # noqa: PLC0415 - not everywhere

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")


def _give_back_from(broker_id: str, *, broker: ServiceBroker, queues: list[str]) -> None:
    """Give back the messages that the dead process had fetched and not started."""
    try:
        with lost_connections():
            last_beat = broker.client.zscore(f"{broker.namespace}:__heartbeats__", broker_id)
        if last_beat is not None:
            broker.run_script("rescue", broker_id, int(last_beat), *queues)
    except BrokerConnectionError as error:
        log.warning("messages_not_given_back", error=str(error), cure="the rescue gives them back within 15 s")

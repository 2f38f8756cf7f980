"""Which part of the work a worker process does: last chances may be left to processes of their own."""

from __future__ import annotations

from enum import Enum

from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.broker.dramatiq_internals import consume_only, queues_asked_for
from project.tasks.sending.last_chances import is_for_last_chances, queues_of_last_chances


class Role(Enum):
    """Which part of the work a worker process does."""

    EVERYTHING = "everything"
    ALL_BUT_LAST_CHANCES = "all but last chances, which its pool runs in other processes"
    LAST_CHANCES = "last chances only"


def assign_queues(broker: ServiceBroker, worker: DramatiqWorker, *, role: Role) -> list[str]:
    """Have a worker that is about to start consume what its role is.

    Args:
        broker: Its broker.
        worker: Not started yet; where `--queues` named some, it consumes no others.
        role: Which part of the work it does.

    Returns:
        The queues as people know them; for last chances only, as the broker does.
    """
    named = queues_asked_for(worker) or broker.get_declared_queues()
    queues = sorted(queue for queue in named if not is_for_last_chances(queue))
    if role is Role.ALL_BUT_LAST_CHANCES:
        consume_only(worker, queues)
        return queues
    last_chances = queues_of_last_chances(queues)
    for queue in last_chances:
        broker.declare_queue(queue)
    consume_only(worker, [*last_chances, *(queues if role is Role.EVERYTHING else ())])
    return queues if role is Role.EVERYTHING else last_chances

"""Finds messages whose payload is stored but that nobody will ever take, and puts them back into their queue.

A server that evicts, or somebody with `redis-cli`, deletes whole keys: a queue's list, what a worker holds. What the
hash still stores then looks as if it waited. Counting tells whether there is any such message; only if there is, the
queue is looked through.
"""

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from project.broker.addresses import lost_connections

if TYPE_CHECKING:
    from project.broker.broker import ServiceBroker

logger = logging.getLogger(__name__)

#: Looking through a list of this many ids takes Redis about 30 ms, in which it does nothing else.
LONGEST_LIST = 50_000
_LOOKED_AT_TOGETHER = 5000


def put_back_stranded(broker: "ServiceBroker") -> int:
    """Put stored messages that are in no list at the front of their queue; any number of processes may call it.

    Returns:
        How many went back. Those of a queue with more than `LONGEST_LIST` messages wait until it has fewer.

    Raises:
        ConnectionClosed: If Redis did not answer in time.
    """
    # Asked twice: a message on its way into a broker that is not known yet is no trouble.
    suspects = _unbalanced(broker, known_queues(broker))
    return sum(_sweep(broker, queue) for queue in _unbalanced(broker, suspects))


def known_queues(broker: "ServiceBroker") -> set[str]:
    """Name every queue that anybody ever consumed or that is declared here.

    Raises:
        ConnectionClosed: If Redis did not answer in time.
    """
    with lost_connections():
        consumed = {name.decode() for name in broker.client.smembers(f"{broker.namespace}:__queues__")}
    return consumed | broker.get_declared_queues() | broker.get_declared_delay_queues()


def _unbalanced(broker: "ServiceBroker", queues: Collection[str]) -> list[str]:
    if not queues:
        return []
    names = sorted(queues)
    return [name for name, excess in zip(names, broker.run_script("balance", *names), strict=True) if excess]


def _sweep(broker: "ServiceBroker", queue: str) -> int:
    back, cursor = 0, b"0"
    while True:
        told = broker.run_script("sweep", queue, LONGEST_LIST, cursor, _LOOKED_AT_TOGETHER)
        if told:
            cursor = told[0]
            back += told[1]
        if not told or cursor == b"0":
            break
    if back:
        logger.warning("Queue %s had %d stored messages in no list: put them back", queue, back)
    return back

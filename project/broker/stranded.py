"""Finds messages whose payload is stored but that nobody will ever take, and puts them back into their queue.

A server that evicts, or somebody with `redis-cli`, deletes whole keys: a queue's list, what a worker holds. What the
hash still stores then looks as if it waited. Counting tells whether there is any such message; only if there is, the
queue is looked through.
"""

import logging
from collections.abc import Collection

from project.broker.addresses import lost_connections
from project.broker.scripts import Scripts

logger = logging.getLogger(__name__)

#: Looking through a list of this many ids takes Redis about 30 ms, in which it does nothing else.
LONGEST_LIST = 50_000
_LOOKED_AT_TOGETHER = 5000


def put_back_stranded(scripts: Scripts, *, declared: set[str]) -> int:
    """Put stored messages that are in no list at the front of their queue; any number of processes may call it.

    Args:
        scripts: Of the broker.
        declared: The queues, and delay queues, that this process knows; those that were ever consumed count too.

    Returns:
        How many went back. Those of a queue with more than `LONGEST_LIST` messages wait until it has fewer.

    Raises:
        ConnectionClosed: If Redis did not answer in time.
    """
    # Asked twice: a message on its way into a broker that is not known yet is no trouble.
    suspects = _unbalanced(scripts, known_queues(scripts, declared=declared))
    return sum(_sweep(scripts, queue) for queue in _unbalanced(scripts, suspects))


def known_queues(scripts: Scripts, *, declared: set[str]) -> set[str]:
    """Return every queue that anybody ever consumed, with those that are declared here.

    Raises:
        ConnectionClosed: If Redis did not answer in time.
    """
    with lost_connections():
        consumed = {name.decode() for name in scripts.client.smembers(f"{scripts.namespace}:__queues__")}
    return consumed | declared


def _unbalanced(scripts: Scripts, queues: Collection[str]) -> list[str]:
    if not queues:
        return []
    names = sorted(queues)
    return [name for name, excess in zip(names, scripts.run("balance", *names), strict=True) if excess]


def _sweep(scripts: Scripts, queue: str) -> int:
    back, cursor = 0, b"0"
    while True:
        told = scripts.run("sweep", queue, LONGEST_LIST, cursor, _LOOKED_AT_TOGETHER)
        if told:
            cursor = told[0]
            back += told[1]
        if not told or cursor == b"0":
            break
    if back:
        logger.warning("Queue %s had %d stored messages in no list: put them back", queue, back)
    return back

"""Finds messages whose payload is stored but that nobody will ever take, and puts them back into their queue.

A server that evicts, or somebody with `redis-cli`, deletes whole keys: a queue's list, what a worker holds. What the
hash still stores then looks as if it waited. Counting tells whether there is any such message; only if there is, the
queue is looked through.
"""

from collections.abc import Collection

import structlog

from project.broker.addresses import lost_connections
from project.broker.scripts import Scripts

log = structlog.get_logger(__name__)

#: Ids in a list that is still looked through: for this many Redis takes about 30 ms, in which it does nothing else.
LONGEST_LIST = 50_000
#: Stored messages that are looked at in one script, about 5 ms: others get a word in between.
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
        reply = scripts.run("sweep", queue, LONGEST_LIST, cursor, _LOOKED_AT_TOGETHER)
        if reply:
            cursor = reply[0]
            back += reply[1]
        if not reply or cursor == b"0":
            break
    if back:
        cure = "see who deletes keys: the server's maxmemory-policy, or somebody with redis-cli"
        log.warning("stranded_messages_put_back", queue=queue, count=back, cure=cure)
    return back

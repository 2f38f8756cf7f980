"""A run on its last chance has a process to itself, so that a run which kills its worker takes no other with it.

When a process dies, nobody can tell which of the runs in it is to blame: all count a death. They are tried again at
the same time and so meet again, and with the poisonous one among them the innocent ones would soon be dead too. Only
what dies while no other run is in its process is certainly to blame.

So the messages of last chances wait in queues of their own. The ordinary processes of a pool do not take from them; the
pool starts processes that do, and that execute one run at a time. A worker outside of a pool runs last chances among
the others.
"""

from __future__ import annotations

from collections.abc import Iterable

from project.tasks.policy import MAX_DEATHS

_SUFFIX = ".alone"


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
    """Tell whether a queue of the broker is one for last chances, which people need not know."""
    return queue.endswith(_SUFFIX)

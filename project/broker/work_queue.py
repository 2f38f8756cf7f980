"""The messages that one worker process has taken, and how many more it may take.

A message should wait in Redis, where any process can have it, not here. So a process takes one message for each idle
thread, and takes ahead only what its recent speed says will start within `TAKEN_AHEAD`. Queues that compete for
threads get equal running time (start-time fair queueing: Goyal, Vin and Cheng, 1996), so that long tasks in one queue
do not keep short ones in another waiting.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from heapq import heappop, heappush
from queue import PriorityQueue
from typing import Any

from dramatiq.broker import MessageProxy

from project.broker.dramatiq_internals import WorkQueueItem as Item

#: Enough to keep threads busy during a round trip to Redis; what waits here for longer could run elsewhere.
TAKEN_AHEAD = timedelta(milliseconds=50)
#: Messages that one queue may have waiting here, however short its tasks are: each of them is lost time if this
#: process dies.
MOST_TAKEN_AHEAD = 256
#: How much one task changes what a queue's tasks are expected to take: about the last ten count.
_WEIGHT_OF_LAST = 0.1
_AHEAD_SECONDS = TAKEN_AHEAD.total_seconds()


class Share:
    """What one queue has in this process: messages that wait or run, and the running time it has had."""

    def __init__(self) -> None:
        self.waiting: list[Item] = []
        #: When each thread started, and the Redis id of its message.
        self.running: dict[int, tuple[float, str]] = {}
        #: Messages that its consumer may still bring.
        self.reserved = 0
        #: Whether its consumer waits until it may fetch.
        self.is_wanting = False
        #: Seconds that its tasks have run, all threads together.
        self.used = 0.0
        #: Seconds that one of its tasks takes, going by the last ones; 0 while that is unknown.
        self.task_seconds = 0.0

    def used_by(self, now: float) -> float:
        """Return the seconds that the queue's tasks have run, with those that run now."""
        return self.used + sum(now - started for started, _ in self.running.values())

    def finish(self, seconds: float) -> None:
        """Account for a task that ran for so long."""
        self.used += seconds
        average = self.task_seconds * (1 - _WEIGHT_OF_LAST) + seconds * _WEIGHT_OF_LAST
        self.task_seconds = average if self.task_seconds else seconds


class WorkQueue(PriorityQueue[Item]):
    """The queue between consumers and worker threads, put into Dramatiq's worker before it starts.

    Args:
        threads: How many worker threads take from it.
        now: The clock, in seconds from any start; it must never go back.
    """

    def __init__(self, *, threads: int, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.threads = threads
        #: Whether the worker stops: nothing more is to be fetched.
        self.closed = False
        self._now = now
        self._changed = threading.Condition(self.mutex)

    def reserve(self, queue_name: str, *, timeout: float) -> int:
        """Wait until the queue may take messages.

        Args:
            queue_name: The queue whose consumer wants to fetch.
            timeout: Seconds to wait.

        Returns:
            How many it may fetch; 0 if it may not yet.
        """
        with self._changed:
            share = self._share(queue_name)
            share.is_wanting = True
            granted = self._changed.wait_for(lambda: self._grant(share), timeout)
            share.is_wanting = False
            share.reserved += granted
            return granted

    def arrive(self, queue_name: str) -> None:
        """Note that a reserved message is on its way to the threads."""
        with self.mutex:
            self._share(queue_name).reserved -= 1

    def release(self, queue_name: str, count: int) -> None:
        """Note that so many reserved messages will not come."""
        with self._changed:
            self._share(queue_name).reserved -= count
            self._changed.notify_all()

    def take_back(self, queue_name: str) -> list[MessageProxy]:
        """Remove and return the messages of a queue that no thread has started."""
        with self.mutex:
            share = self._share(queue_name)
            items, share.waiting = sorted(share.waiting), []
            self._count -= len(items)
            self.unfinished_tasks -= len(items)
            if not self.unfinished_tasks:
                self.all_tasks_done.notify_all()
        return [item.message for item in items]

    def running(self, queue_name: str) -> set[str]:
        """Return the Redis ids of a queue's messages that threads are running."""
        with self.mutex:
            return {redis_message_id for _, redis_message_id in self._share(queue_name).running.values()}

    def is_stuck(self) -> bool:
        """Return whether no task has ended for so long that what waits here might as well run elsewhere."""
        with self.mutex:
            return self._is_stuck(self._now())

    def task_done(self) -> None:
        """Account for the calling thread's task, and let a consumer fetch if there is an idle thread now."""
        now = self._now()
        with self.mutex:
            for share in self._shares.values():
                if started := share.running.pop(threading.get_ident(), None):
                    share.finish(now - started[0])
                    self._finished_at = now
            if any(share.is_wanting and self._grant(share) for share in self._shares.values()):
                self._changed.notify_all()
        super().task_done()

    def _init(self, maxsize: int) -> None:
        self._shares: dict[str, Share] = {}
        self._count = 0
        #: Running time of the queue that was served last; one that comes back starts from here, with nothing saved up.
        self._fair_start = 0.0
        self._finished_at = float("-inf")

    def _qsize(self) -> int:
        return self._count

    def _put(self, item: Item) -> None:
        share = self._share(item.message.queue_name)
        if not share.waiting and not share.running:
            share.used = max(share.used, self._fair_start)
        heappush(share.waiting, _ranked(item))
        self._count += 1

    def _get(self) -> Item:
        now = self._now()
        shares = [share for share in self._shares.values() if share.waiting]
        share = shares[0] if len(shares) == 1 else min(shares, key=lambda share: _rank(share, now))
        item = heappop(share.waiting)
        self._fair_start = max(self._fair_start, share.used)
        share.running[threading.get_ident()] = (now, item.message.options["redis_message_id"])
        self._count -= 1
        return item

    def _share(self, queue_name: str) -> Share:
        share = self._shares.get(queue_name)
        return share or self._shares.setdefault(queue_name, Share())

    def _grant(self, share: Share) -> int:
        """Return how many messages a queue may fetch now."""
        if self.closed:
            return 0
        now, shares = self._now(), self._shares.values()
        idle = self.threads - sum(len(each.running) + len(each.waiting) + each.reserved for each in shares)
        ahead = self._ahead(share, now)
        free = ahead - len(share.waiting) - share.reserved
        if idle > 0 and not any(each.is_wanting and each.used_by(now) < share.used_by(now) for each in shares):
            return max(idle, free)
        # Only when half of it has run: many small fetches would cost more than they gain.
        return free if free > 0 and free * 2 >= ahead else 0

    def _ahead(self, share: Share, now: float) -> int:
        """Return how many of a queue's messages may wait here because they start soon."""
        if not share.task_seconds or self._is_stuck(now):
            return 0
        return min(MOST_TAKEN_AHEAD, int(self.threads * _AHEAD_SECONDS / share.task_seconds))

    def _is_stuck(self, now: float) -> bool:
        return now - self._finished_at > _AHEAD_SECONDS


def _rank(share: Share, now: float) -> tuple[Any, float]:
    """Return what decides which queue's message runs next: its priority, then who has had less running time."""
    return share.waiting[0].priority, share.used_by(now)


def _ranked(item: Item) -> Item:
    """Rank an item by its message's own priority, where Dramatiq knows only the actor's."""
    priority = item.message.options.get("priority", item.priority)
    return item if priority == item.priority else replace(item, priority=priority)

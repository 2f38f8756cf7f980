"""The places in which a worker process runs tasks, of one kind, and which queue has how many of them.

A process has two lanes: its threads, and the places on its event loop. Queues that compete for places get equal running
time (start-time fair queueing: Goyal, Vin and Cheng, 1996), so that long tasks in one queue do not keep short ones in
another waiting.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from heapq import heappop, heappush
from typing import Any

from dramatiq.broker import MessageProxy

from project.broker.dramatiq_internals import WorkQueueItem as Item

#: Enough to keep places busy during a round trip to Redis; what waits here for longer could run elsewhere.
TAKEN_AHEAD = timedelta(milliseconds=50)
#: Messages that one queue may have waiting here, however short its tasks are: each of them is lost time if this
#: process dies.
MOST_TAKEN_AHEAD = 256
#: How much one task changes what a queue's tasks are expected to take: about the last ten count.
_WEIGHT_OF_LAST = 0.1
_AHEAD_SECONDS = TAKEN_AHEAD.total_seconds()


class Share:
    """What one queue has of a lane: messages that come, wait or run, and the running time it has had."""

    def __init__(self) -> None:
        self.waiting: list[Item] = []
        #: Messages that were fetched for it and are on their way here.
        self.coming = 0
        #: When each task started, by the Redis id of its message.
        self.running: dict[str, float] = {}
        #: The sum of those times, so that nothing is added up for each message.
        self._started = 0.0
        #: Seconds that its tasks have run, all places together, without those that run now.
        self.used = 0.0
        #: Seconds that one of its tasks takes, going by the last ones; 0 while that is unknown.
        self.task_seconds = 0.0

    def used_by(self, now: float) -> float:
        """Return the seconds that the queue's tasks have run, with those that run now."""
        return self.used + len(self.running) * now - self._started

    def start(self, redis_message_id: str, now: float) -> None:
        """Note that a task runs from now on."""
        self.running[redis_message_id] = now
        self._started += now

    def finish(self, redis_message_id: str, now: float) -> None:
        """Account for a task that has ended."""
        started = self.running.pop(redis_message_id)
        self._started = self._started - started if self.running else 0.0
        seconds = now - started
        self.used += seconds
        average = self.task_seconds * (1 - _WEIGHT_OF_LAST) + seconds * _WEIGHT_OF_LAST
        self.task_seconds = average if self.task_seconds else seconds


class Lane:
    """Places of one kind, and what each queue has of them; whoever uses it holds the lock of the work queue.

    Args:
        places: How many tasks run here at once.
    """

    def __init__(self, *, places: int) -> None:
        self.places = places
        self.shares: dict[str, Share] = {}
        #: Messages that wait for a place, that will come, and that run.
        self.waiting = self.coming = self.running = 0
        #: Running time of the queue that was served last; one that comes back starts from here, with nothing saved up.
        self._fair_start = 0.0
        self._finished_at = float("-inf")

    def share(self, queue_name: str) -> Share:
        """Return what a queue has."""
        share = self.shares.get(queue_name)
        return share or self.shares.setdefault(queue_name, Share())

    def expect(self, queue_name: str, count: int) -> None:
        """Keep places for so many messages more, or for fewer if it is below 0."""
        self.share(queue_name).coming += count
        self.coming += count

    def add(self, item: Item) -> None:
        """Let a message wait for a place."""
        share = self.share(item.message.queue_name)
        if not share.waiting and not share.running:
            share.used = max(share.used, self._fair_start)
        heappush(share.waiting, _ranked(item))
        self.waiting += 1

    def take(self, now: float) -> Item:
        """Start the message that is next: by its priority, then that of the queue that has had less running time."""
        shares = [share for share in self.shares.values() if share.waiting]
        share = shares[0] if len(shares) == 1 else min(shares, key=lambda share: _rank(share, now))
        item = heappop(share.waiting)
        self._fair_start = max(self._fair_start, share.used)
        share.start(item.message.options["redis_message_id"], now)
        self.waiting -= 1
        self.running += 1
        return item

    def finish(self, message: MessageProxy, now: float) -> None:
        """Account for a message that was taken and has ended."""
        self.share(message.queue_name).finish(message.options["redis_message_id"], now)
        self.running -= 1
        self._finished_at = now

    def take_back(self, queue_name: str) -> list[Item]:
        """Remove and return the messages of a queue that wait, in their order."""
        share = self.share(queue_name)
        items, share.waiting = sorted(share.waiting), []
        self.waiting -= len(items)
        return items

    def has_room(self, share: Share, now: float) -> bool:
        """Tell whether one more message of a queue would start soon."""
        return self.idle() > 0 or len(share.waiting) + share.coming < self.ahead(share, now)

    def idle(self) -> int:
        """Return how many places nobody has, and no message that waits or comes will take."""
        return self.places - self.running - self.waiting - self.coming

    def ahead(self, share: Share, now: float) -> int:
        """Return how many of a queue's messages may wait here because they start soon."""
        if not share.task_seconds or self.is_stuck(now):
            return 0
        return min(MOST_TAKEN_AHEAD, int(self.places * _AHEAD_SECONDS / share.task_seconds))

    def is_stuck(self, now: float) -> bool:
        """Tell whether no task has ended for so long that what waits here might as well run elsewhere."""
        return now - self._finished_at > _AHEAD_SECONDS


class Demand:
    """What the consumer of one queue wants.

    Args:
        lane: Which lane its messages are expected to need.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        #: How many messages in a row have needed that lane; at first, as many as it has places.
        self.streak = lane.places
        #: Messages that it may still bring.
        self.reserved = 0
        #: Whether it waits until it may fetch.
        self.is_wanting = False

    def note(self, lane: Lane) -> None:
        """Learn which lane a message needs."""
        self.streak = self.streak + 1 if lane is self.lane else 1
        self.lane = lane


def _rank(share: Share, now: float) -> tuple[Any, float]:
    """Return what decides which queue's message runs next: its priority, then who has had less running time."""
    return share.waiting[0].priority, share.used_by(now)


def _ranked(item: Item) -> Item:
    """Rank an item by its message's own priority, where Dramatiq knows only the actor's."""
    priority = item.message.options.get("priority", item.priority)
    return item if priority == item.priority else replace(item, priority=priority)

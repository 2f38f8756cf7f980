"""The messages one worker process has taken, and how many more it may take.

A message should wait in Redis, where any process can have it, not here. So a process takes one message per idle
thread, and takes ahead only what its recent pace says will start within :data:`AHEAD`. Queues that compete for
threads get equal running time (start-time fair queueing: Goyal, Vin and Cheng, 1996), so long tasks in one queue
do not keep short ones in another waiting.
"""

import threading
import time
from dataclasses import replace
from heapq import heappop, heappush
from queue import PriorityQueue
from typing import Any

from dramatiq.broker import MessageProxy

from project.broker.dramatiq_internals import WorkQueueItem as Item

AHEAD = 0.05
MOST_AHEAD = 256


class Lane:
    """What one queue has waiting and running in this process."""

    def __init__(self) -> None:
        self.waiting: list[Item] = []
        self.running: dict[int, tuple[float, str]] = {}
        self.reserved = 0
        self.wanting = False
        self.used = 0.0
        self.pace = 0.0

    def used_by(self, now: float) -> float:
        """Tell how many thread-seconds the queue has had."""
        return self.used + sum(now - started for started, _ in self.running.values())

    def finish(self, seconds: float) -> None:
        """Account for a task that ran for so long; the pace follows quickly, and only slows at once."""
        self.used += seconds
        self.pace = self.pace * 0.9 + seconds * 0.1 if self.pace else seconds


class WorkQueue(PriorityQueue[Item]):
    """The queue between consumers and worker threads, put into Dramatiq's worker before it starts.

    Args:
        threads: How many worker threads take from it.
    """

    def __init__(self, *, threads: int) -> None:
        super().__init__()
        self.threads = threads
        self.closed = False
        self._room = threading.Condition(self.mutex)

    def reserve(self, queue_name: str, *, timeout: float) -> int:
        """Wait until the queue may take messages and say how many.

        Args:
            queue_name: The queue that wants to fetch.
            timeout: Seconds to wait.
        """
        deadline = time.monotonic() + timeout
        with self._room:
            lane = self._lane(queue_name)
            lane.wanting = True
            while not (granted := self._grant(lane)):
                if not self._room.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    break
            lane.wanting = False
            lane.reserved += granted
            return granted

    def arrive(self, queue_name: str) -> None:
        """Say that a reserved message is on its way to the threads."""
        with self.mutex:
            self._lane(queue_name).reserved -= 1

    def release(self, queue_name: str, count: int) -> None:
        """Say that so many reserved messages will not come."""
        with self._room:
            self._lane(queue_name).reserved -= count
            self._room.notify_all()

    def take_back(self, queue_name: str) -> list[MessageProxy]:
        """Remove and return the messages of a queue that no thread has started."""
        with self.mutex:
            lane = self._lane(queue_name)
            items, lane.waiting = sorted(lane.waiting), []
            self._count -= len(items)
            self.unfinished_tasks -= len(items)
            if not self.unfinished_tasks:
                self.all_tasks_done.notify_all()
        return [item.message for item in items]

    def running(self, queue_name: str) -> set[str]:
        """Give the Redis ids of the messages of a queue that threads are running."""
        with self.mutex:
            return {redis_message_id for _, redis_message_id in self._lane(queue_name).running.values()}

    def is_stuck(self) -> bool:
        """Tell whether no task has ended for so long that nothing here is about to run."""
        with self.mutex:
            return self._is_stuck(time.monotonic())

    def task_done(self) -> None:
        """Account for the calling thread's task and let a consumer fetch if that made room."""
        now = time.monotonic()
        with self.mutex:
            for lane in self._lanes.values():
                if started := lane.running.pop(threading.get_ident(), None):
                    lane.finish(now - started[0])
                    self._finished_at = now
            if any(lane.wanting and self._grant(lane) for lane in self._lanes.values()):
                self._room.notify_all()
        super().task_done()

    def _init(self, maxsize: int) -> None:
        self._lanes: dict[str, Lane] = {}
        self._count = 0
        self._clock = 0.0
        self._finished_at = 0.0

    def _qsize(self) -> int:
        return self._count

    def _put(self, item: Item) -> None:
        lane = self._lane(item.message.queue_name)
        if not lane.waiting and not lane.running:
            lane.used = max(lane.used, self._clock)
        heappush(lane.waiting, _ranked(item))
        self._count += 1

    def _get(self) -> Item:
        now = time.monotonic()
        lanes = [lane for lane in self._lanes.values() if lane.waiting]
        lane = lanes[0] if len(lanes) == 1 else min(lanes, key=lambda lane: _turn(lane, now))
        item = heappop(lane.waiting)
        self._clock = max(self._clock, lane.used)
        lane.running[threading.get_ident()] = (now, item.message.options["redis_message_id"])
        self._count -= 1
        return item

    def _lane(self, queue_name: str) -> Lane:
        lane = self._lanes.get(queue_name)
        return lane or self._lanes.setdefault(queue_name, Lane())

    def _grant(self, lane: Lane) -> int:
        if self.closed:
            return 0
        now = time.monotonic()
        lanes = self._lanes.values()
        idle = self.threads - sum(len(each.running) + len(each.waiting) + each.reserved for each in lanes)
        ahead = self._ahead(lane, now)
        free = ahead - len(lane.waiting) - lane.reserved
        if idle > 0 and not any(each.wanting and each.used_by(now) < lane.used_by(now) for each in lanes):
            return max(idle, free)
        return free if free > 0 and free * 2 >= ahead else 0

    def _ahead(self, lane: Lane, now: float) -> int:
        if not lane.pace or self._is_stuck(now):
            return 0
        return min(MOST_AHEAD, int(self.threads * AHEAD / lane.pace))

    def _is_stuck(self, now: float) -> bool:
        return now - self._finished_at > AHEAD


def _turn(lane: Lane, now: float) -> tuple[Any, float]:
    return lane.waiting[0].priority, lane.used_by(now)


def _ranked(item: Item) -> Item:
    """Rank an item by its message's own priority, where Dramatiq knows only the actor's."""
    priority = item.message.options.get("priority", item.priority)
    return item if priority == item.priority else replace(item, priority=priority)

"""The messages that one worker process has taken, and how many more it may take.

A message should wait in Redis, where any process can have it, not here. So a process takes one message for each idle
place, and takes ahead only what its recent speed says will start within `TAKEN_AHEAD`.

Tasks that are coroutine functions run in places of their own, on the event loop; all others in threads. Only when a
message has been fetched is it known which of the two it needs, and a queue may hold both. So a queue is expected to go
on as it went last: what is fetched fits whichever lane each message needs, or it is at most as many messages as came
in a row for the same lane, and fits that one. What has no place nevertheless goes back to Redis at once, in its order.
A queue is worked off in order: while its first message waits for a place, those behind it do, whatever they are; other
queues do not wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import PriorityQueue

from dramatiq.broker import MessageProxy

from project.broker.dramatiq_internals import WorkQueueItem as Item
from project.broker.lanes import Demand, Lane, Share


class WorkQueue(PriorityQueue[Item]):
    """The queue between consumers and what runs tasks, put into Dramatiq's worker before it starts.

    What Dramatiq's worker threads get from it are messages for threads; the event loop has methods of its own.

    Args:
        threads: How many worker threads take from it.
        now: The clock, in seconds from any start; it must never go back.
    """

    def __init__(self, *, threads: int, now: Callable[[], float] = time.monotonic) -> None:
        self._threads, self._loop = Lane(places=threads), Lane(places=0)
        super().__init__()
        #: Whether the worker stops: nothing more is to be fetched.
        self.closed = False
        self._now = now
        self._changed = threading.Condition(self.mutex)
        self._demands: dict[str, Demand] = {}
        #: What each worker thread runs.
        self._in_threads: dict[int, MessageProxy] = {}
        self._is_for_loop: Callable[[str], bool] = lambda _actor_name: False
        self._wake_loop: Callable[[], None] = lambda: None
        self._loop_is_awake = False

    @property
    def threads(self) -> int:
        """How many worker threads take from it."""
        return self._threads.places

    @threads.setter
    def threads(self, threads: int) -> None:
        self._threads.places = threads

    def open_loop(self, *, places: int, is_for_loop: Callable[[str], bool], wake: Callable[[], None]) -> None:
        """Let an event loop run messages, too.

        Args:
            places: How many at once.
            is_for_loop: Tells by an actor's name whether its messages are for the loop.
            wake: Called from any thread when `take_for_loop` has something to return.
        """
        self._is_for_loop, self._wake_loop, self._loop.places = is_for_loop, wake, places

    def close_loop(self) -> None:
        """Give the loop nothing more: what still comes for it waits for a thread, or to be given back."""
        with self.mutex:
            self._is_for_loop = lambda _actor_name: False

    def reserve(self, queue_name: str, *, timeout: float) -> int:
        """Wait until the queue may take messages.

        Args:
            queue_name: The queue whose consumer wants to fetch.
            timeout: Seconds to wait.

        Returns:
            How many it may fetch; 0 if it may not yet.
        """
        with self._changed:
            demand = self._demand(queue_name)
            demand.is_wanting = True
            granted = self._changed.wait_for(lambda: self._grant(queue_name), timeout) or self._look_at_one()
            demand.is_wanting = False
            demand.reserved += granted
            return granted

    def expect(self, queue_name: str, messages: Iterable[MessageProxy]) -> set[str]:
        """Find places for reserved messages that were fetched; return the Redis ids of those that have none."""
        surplus, now = set(), self._now()
        with self.mutex:
            demand = self._demand(queue_name)
            for message in messages:
                lane = self._lane_of(message)
                demand.note(lane)
                demand.reserved -= 1
                if self._loop.places and not lane.has_room(lane.share(queue_name), now):
                    surplus.add(message.options["redis_message_id"])
                else:
                    lane.expect(queue_name, 1)
        return surplus

    def arrive(self, messages: Iterable[MessageProxy]) -> None:
        """Note that expected messages are on their way to the lanes, or will not come."""
        with self._changed:
            for message in messages:
                self._lane_of(message).expect(message.queue_name, -1)

    def release(self, queue_name: str, count: int) -> None:
        """Note that so many reserved messages will not come."""
        with self._changed:
            self._demand(queue_name).reserved -= count
            self._changed.notify_all()

    def may_wait(self, queue_name: str) -> bool:
        """Tell whether the consumer of an empty queue may wait for a message: one that comes could start."""
        with self.mutex:
            return not self._loop.places or self._grant(queue_name) > 0

    def take_back(self, queue_name: str) -> list[MessageProxy]:
        """Remove and return the messages of a queue that nobody has started."""
        return self._take_back(queue_name, [self._threads, self._loop])

    def take_back_stuck(self, queue_name: str) -> list[MessageProxy]:
        """Remove and return those for a lane in which no task has ended for long: elsewhere they may run sooner."""
        now = self._now()
        return self._take_back(queue_name, [lane for lane in (self._threads, self._loop) if lane.is_stuck(now)])

    def running(self, queue_name: str) -> set[str]:
        """Return the Redis ids of a queue's messages that are running."""
        with self.mutex:
            return {*self._threads.share(queue_name).running, *self._loop.share(queue_name).running}

    @property
    def waits_for_loop(self) -> bool:
        """Whether messages wait for a place on the loop."""
        return self._loop.waiting > 0

    def on_loop(self) -> int:
        """Return how many messages the loop runs."""
        with self.mutex:
            return self._loop.running

    def is_stuck(self) -> bool:
        """Return whether no thread has ended a task for so long that what waits here might as well run elsewhere."""
        with self.mutex:
            return self._threads.is_stuck(self._now())

    def put(self, item: Item, block: bool = True, timeout: float | None = None) -> None:
        """Let a message wait for a thread, or for a place on the loop."""
        if self._lane_of(item.message) is not self._loop:
            return super().put(item, block, timeout)
        with self.mutex:
            self._loop.add(item)
            self.unfinished_tasks += 1
            is_awake, self._loop_is_awake = self._loop_is_awake, True
        return None if is_awake else self._wake_loop()

    def take_for_loop(self) -> list[MessageProxy]:
        """Take the messages that may start on the loop now, the next one first."""
        now, loop = self._now(), self._loop
        with self.mutex:
            self._loop_is_awake = False
            return [loop.take(now).message for _ in range(min(loop.waiting, loop.places - loop.running))]

    def done_on_loop(self, message: MessageProxy) -> None:
        """Account for a message that the loop has run, and let a consumer fetch if there is a place now."""
        self._finish(self._loop, message)
        super().task_done()

    def task_done(self) -> None:
        """Account for the calling thread's task, and let a consumer fetch if there is an idle thread now."""
        if (message := self._in_threads.pop(threading.get_ident(), None)) is not None:
            self._finish(self._threads, message)
        super().task_done()

    def _init(self, maxsize: int) -> None:
        """Keep what waits in the lanes."""

    def _qsize(self) -> int:
        return self._threads.waiting

    def _put(self, item: Item) -> None:
        self._threads.add(item)

    def _get(self) -> Item:
        item = self._threads.take(self._now())
        self._in_threads[threading.get_ident()] = item.message
        return item

    def _lane_of(self, message: MessageProxy) -> Lane:
        return self._loop if self._is_for_loop(message.actor_name) else self._threads

    def _demand(self, queue_name: str) -> Demand:
        demand = self._demands.get(queue_name)
        return demand or self._demands.setdefault(queue_name, Demand(self._threads))

    def _finish(self, lane: Lane, message: MessageProxy) -> None:
        with self.mutex:
            lane.finish(message, self._now())
            if any(demand.is_wanting and self._grant(queue) for queue, demand in self._demands.items()):
                self._changed.notify_all()

    def _take_back(self, queue_name: str, lanes: Sequence[Lane]) -> list[MessageProxy]:
        with self.mutex:
            items = [item for lane in lanes for item in lane.take_back(queue_name)]
            self.unfinished_tasks -= len(items)
            if not self.unfinished_tasks:
                self.all_tasks_done.notify_all()
        return [item.message for item in items]

    def _grant(self, queue_name: str) -> int:
        """Return how many messages a queue may fetch now."""
        if self.closed:
            return 0
        in_threads = self._room(self._threads, queue_name)
        if not self._loop.places:
            return in_threads
        on_loop = self._room(self._loop, queue_name)
        demand = self._demand(queue_name)
        expected = on_loop if demand.lane is self._loop else in_threads
        return max(min(in_threads, on_loop), min(expected, demand.streak))

    def _room(self, lane: Lane, queue_name: str) -> int:
        """Return how many messages a queue may fetch if all of them need this lane."""
        now, share = self._now(), lane.share(queue_name)
        reserved = self._demand(queue_name).reserved
        idle = lane.idle() - sum(demand.reserved for demand in self._demands.values())
        ahead = lane.ahead(share, now)
        free = ahead - len(share.waiting) - share.coming - reserved
        if idle > 0 and not self._has_less_served_rival(lane, share, now):
            return max(idle, free)
        # Only when half of it has run: many small fetches would cost more than they gain.
        return free if free > 0 and free * 2 >= ahead else 0

    def _has_less_served_rival(self, lane: Lane, share: Share, now: float) -> bool:
        """Tell whether another queue that wants places here has had less running time."""
        rivals = [queue for queue, demand in self._demands.items() if demand.is_wanting and demand.lane is lane]
        return any(lane.share(queue).used_by(now) < share.used_by(now) for queue in rivals)

    def _look_at_one(self) -> int:
        """Let a queue bring one message, now and then, that may need the other lane than those before it."""
        is_open = self._loop.places and not self.closed
        return int(is_open and any(lane.idle() > 0 for lane in (self._threads, self._loop)))

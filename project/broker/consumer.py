"""Taking messages from one queue: wait in Redis, fetch as many as will start soon, and lose none."""

import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import redis
import structlog
from dramatiq import Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.common import dq_name
from dramatiq.errors import BrokerConnectionError, DecodeError

from project.broker.acks import ACK, NACK, Acks
from project.broker.delivery import Claims, Delivery, Pair, decode, pairs
from project.broker.pipeline import PipelinedConnection
from project.broker.scripts import Scripts
from project.broker.work_queue import WorkQueue

log = structlog.get_logger(__name__)

#: How long Redis lets a consumer wait for a message: well below its reply's time-out, and often enough for heartbeats.
MESSAGE_WAIT = timedelta(seconds=1)
#: How long a consumer waits for an idle thread before it looks whether to give messages back, or to stop.
THREAD_WAIT = timedelta(milliseconds=250)
#: Between two tries to reach Redis: twice as long after each, so that a Redis that starts is not overrun.
RECONNECT_FIRST_AFTER, RECONNECT_AT_LEAST_EVERY = timedelta(milliseconds=100), timedelta(seconds=1)
#: Between two looks while Redis is full: it then refuses to let anybody wait for a message.
FULL_BROKER_LOOK_EVERY = timedelta(milliseconds=100)


class QueueConsumer(Consumer):
    """Consumes one queue; Dramatiq's consumer thread calls it, its worker threads ack through it.

    Args:
        queue_name: The queue.
        scripts: Of the broker.
        work: Where the worker's threads take messages from.
        acks: What became of messages.
        claims: Who claims what was fetched together, if anybody does.
    """

    def __init__(
        self, queue_name: str, *, scripts: Scripts, work: WorkQueue, acks: Acks, claims: Claims | None = None
    ) -> None:
        self.queue_name = queue_name
        self._scripts, self._work, self._acks, self._claims = scripts, work, acks, claims
        self._queue_key = f"{scripts.namespace}:{queue_name}"
        self._inbox_key = f"{scripts.namespace}:__inbox__.{scripts.broker_id}.{queue_name}"
        self._fetched: deque[Delivery] = deque()
        self._pause = timedelta(0)
        #: What came with the reply that ended the last wait.
        self._awaited: list[Pair] = []
        self._may_hold_leftovers = True
        self._is_full = self._is_paused = False
        self._connection = PipelinedConnection(scripts.client)
        #: What Redis calls that connection, once it was asked.
        self._connection_id: int | None = None

    def __next__(self) -> MessageProxy | None:
        """Return the next message, or `None` after about a second; whatever Redis does or says, nothing is raised."""
        try:
            if self._may_hold_leftovers:
                self._give_back_leftovers()
            message = self._next()
        except (BrokerConnectionError, redis.RedisError) as error:
            self._lose_connection(error)
            return None
        self._pause = timedelta(0)
        return message

    def ack(self, message: MessageProxy) -> None:
        """Note that the message was processed; Redis hears of it within milliseconds."""
        successor = getattr(message, "successor", None)
        self._acks.add(self.queue_name, message.options["redis_message_id"], successor or ACK)

    def nack(self, message: MessageProxy) -> None:
        """Note that the message is a dead letter."""
        self._acks.add(self.queue_name, message.options["redis_message_id"], NACK)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Put messages that were not started back to the front of their queue."""
        unstarted = list(messages)
        self._give_up(unstarted)
        self._give_back(message.options["redis_message_id"] for message in unstarted)

    def wake(self) -> None:
        """End the wait for a message in another thread, so that a worker that stops need not sit it out."""
        if self._connection_id is not None:
            with suppress(redis.RedisError):  # then it ends by itself within a second
                self._scripts.client.client_unblock(self._connection_id)

    def close(self) -> None:
        """Put back whatever has not been handed out."""
        unstarted, self._fetched = self._fetched, deque()
        self._work.arrive(unstarted)
        self._connection.close()
        self.requeue(unstarted)
        self._give_back_awaited()

    def _next(self) -> MessageProxy | None:
        if not self._fetched:
            self._fill()
        if self._awaited:
            self._fill()
        if not self._fetched:
            return None
        message = self._fetched.popleft()
        self._work.arrive([message])
        return message

    def _fill(self) -> None:
        timeout = 0 if self._awaited else THREAD_WAIT.total_seconds()
        if not (count := self._work.reserve(self.queue_name, timeout=timeout)):
            return self._leave_to_others()
        fetched: list[Delivery] = []
        try:
            fetched = self._fetch(count)
        finally:
            self._work.release(self.queue_name, count - len(fetched))
        self._keep_what_has_a_place(fetched)
        if self._is_paused:
            time.sleep(THREAD_WAIT.total_seconds())
        elif not fetched and self._work.may_wait(self.queue_name):
            self._wait_for_message(wait=MESSAGE_WAIT, count=1)
        return None

    def _keep_what_has_a_place(self, fetched: list[Delivery]) -> None:
        surplus = self._work.expect(self.queue_name, fetched)
        if not surplus:
            return self._claim(fetched)
        self._claim([each for each in fetched if each.options["redis_message_id"] not in surplus])
        self._give_back(id_ for each in fetched if (id_ := each.options["redis_message_id"]) in surplus)
        return None

    def _fetch(self, count: int) -> list[Delivery]:
        return [delivery for pair in self._take(count) if (delivery := self._open(*pair))]

    def _claim(self, fetched: list[Delivery]) -> None:
        """Claim what is to be handed out; what may not start, and so has nothing left to do, is acked."""
        claimed = self._claims.claim(fetched) if self._claims and fetched else fetched
        self._fetched.extend(claimed)
        if len(claimed) == len(fetched):
            return
        kept = {id(each) for each in claimed}
        spare = [each for each in fetched if id(each) not in kept]
        self._work.arrive(spare)
        for each in spare:
            self.ack(each)

    def _give_up(self, unstarted: Iterable[MessageProxy]) -> None:
        """Take back the claims of messages that others are to have."""
        claimed = [each for each in unstarted if isinstance(each, Delivery) and each.claim is not None]
        if self._claims and claimed:
            self._claims.give_up(claimed)

    def _take(self, count: int) -> list[Pair]:
        """Return ids and payloads: those that came with the end of the last wait, or else some that are fetched now."""
        if self._awaited:
            awaited, self._awaited = self._awaited, []
            return awaited
        return self._understand(self._connection.send(self._fetch_command(count))[0])

    def _understand(self, reply: list[bytes]) -> list[Pair]:
        self._is_paused = reply == [b"paused"]
        return [] if self._is_paused else pairs(reply)

    def _wait_for_message(self, *, wait: timedelta, count: int) -> None:
        """Let Redis wake exactly one waiting worker per message, the one that waits longest, and give it that."""
        move = ("BLMOVE", self._queue_key, self._inbox_key, "LEFT", "RIGHT", wait.total_seconds())
        waited, fetched = self._connection.attempt([(move, self._fetch_command(count))])
        self._awaited = self._understand(fetched)
        self._note_fullness(is_full=isinstance(waited, redis.OutOfMemoryError))

    def _note_fullness(self, *, is_full: bool) -> None:
        """Say once that Redis is full, and look for messages now and then instead of waiting for them."""
        if is_full and not self._is_full:
            cure = "free memory or give it more; meanwhile queues are polled and new runs wait as pending"
            log.error("broker_full", queue=self.queue_name, cure=cure)
        self._is_full = is_full
        if is_full and not self._awaited:
            time.sleep(FULL_BROKER_LOOK_EVERY.total_seconds())

    def _fetch_command(self, count: int) -> tuple[Any, ...]:
        return self._scripts.command("fetch", self._scripts.broker_id, self.queue_name, count)

    def _leave_to_others(self) -> None:
        """Give back what other processes could run sooner, now that no thread here is idle."""
        if self._awaited:
            self._give_back_awaited()
        elif unstarted := self._work.take_back_stuck(self.queue_name):
            self.requeue(unstarted)
        self._scripts.beat()

    def _give_back_awaited(self) -> None:
        awaited, self._awaited = self._awaited, []
        if awaited:
            self._give_back(redis_message_id.decode() for redis_message_id, _ in awaited)

    def _open(self, redis_message_id: bytes, payload: bytes) -> Delivery | None:
        message = self._read(redis_message_id, payload)
        if message and message.options.get("eta") is not None:
            self._delay(message)
            return None
        return Delivery(message) if message else None

    def _read(self, redis_message_id: bytes, payload: bytes) -> Message[Any] | None:
        """Decode a message; one that cannot be is dead, and only that one."""
        try:
            return decode(payload, queue_name=self.queue_name, redis_message_id=redis_message_id.decode())
        except DecodeError:
            dead = redis_message_id.decode()
            cure = "find out who sends what is not a message; it is kept among the dead letters"
            log.exception("message_unreadable", queue=self.queue_name, redis_message_id=dead, cure=cure)
            self._acks.add(self.queue_name, dead, NACK)
            return None

    def _delay(self, message: Message[Any]) -> None:
        """Move a message that another producer put here with a time to where delayed messages wait."""
        delayed = message.copy(queue_name=dq_name(self.queue_name))
        redis_message_id = message.options["redis_message_id"]
        successor = (delayed.queue_name, redis_message_id, delayed.encode())
        self._acks.add(self.queue_name, redis_message_id, successor)

    def _lose_connection(self, error: Exception) -> None:
        """Forget what was not started: Redis still has it, and this process gives it back when it is reached."""
        self._work.arrive(self._fetched)
        self._give_up([*self._fetched, *self._work.take_back(self.queue_name)])
        self._fetched.clear()
        self._may_hold_leftovers, self._awaited = True, []
        self._pause = min(RECONNECT_AT_LEAST_EVERY, self._pause * 2 or RECONNECT_FIRST_AFTER)
        seconds = self._pause.total_seconds()
        cure = "see why Redis does not answer; it is asked again"
        log.warning("broker_lost", queue=self.queue_name, error=str(error), again_in_seconds=seconds, cure=cure)
        time.sleep(seconds)

    def _give_back_leftovers(self) -> None:
        """Give back what this process holds according to Redis, except for what it is running or has just done."""
        self._scripts.load()
        (self._connection_id,) = self._connection.send(("CLIENT", "ID"))
        kept = self._work.running(self.queue_name) | self._acks.unsent(self.queue_name)
        held = self._scripts.run("join", self._scripts.broker_id, self.queue_name)
        self._give_back(id_ for id_ in (each.decode() for each in held) if id_ not in kept)
        self._may_hold_leftovers = False

    def _give_back(self, redis_message_ids: Iterable[str]) -> None:
        self._scripts.run("give_back", self._scripts.broker_id, self.queue_name, *redis_message_ids)

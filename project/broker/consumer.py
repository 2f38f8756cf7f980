"""Taking messages from one queue: wait in Redis, fetch what there is room for, strand nothing."""

import logging
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

import redis
from dramatiq import Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.common import dq_name
from dramatiq.errors import BrokerConnectionError, DecodeError

from project.broker.acks import ACK, NACK, Acks, Successor
from project.broker.pipeline import Wire
from project.broker.scripts import Scripts
from project.broker.work_queue import WorkQueue

logger = logging.getLogger(__name__)

Pair = tuple[bytes, bytes]

LONGEST_WAIT = 1.0
ROOM_WAIT = 0.25
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
#: Seconds between two looks while Redis is full: it then refuses to let anybody wait for a message.
FULL_PAUSE = 0.1


class Delivery(MessageProxy):
    """A message this process holds, with the message that is to take its place when it is acked, if any."""

    successor: Successor | None = None


class QueueConsumer(Consumer):
    """Consumes one queue; Dramatiq's consumer thread calls it, its worker threads ack through it."""

    def __init__(self, queue_name: str, *, scripts: Scripts, work: WorkQueue, acks: Acks) -> None:
        self.queue_name = queue_name
        self._scripts, self._work, self._acks = scripts, work, acks
        self._queue_key = f"{scripts.namespace}:{queue_name}"
        self._inbox_key = f"{scripts.namespace}:__inbox__.{scripts.broker_id}.{queue_name}"
        self._fetched: deque[Delivery] = deque()
        self._pause = 0.0
        self._early: list[Pair] = []
        self._may_have_strays = True
        self._is_full = self._is_paused = False
        self._wire = Wire(scripts.client)

    def __next__(self) -> MessageProxy | None:
        """Give the next message, or ``None`` after at most about a second; never raises for what Redis does or says."""
        try:
            if self._may_have_strays:
                self._give_back_strays()
            message = self._next()
        except (BrokerConnectionError, redis.RedisError) as error:
            self._lose_connection(error)
            return None
        self._pause = 0.0
        return message

    def ack(self, message: MessageProxy) -> None:
        """Note that the message was processed; Redis hears of it within milliseconds."""
        successor = getattr(message, "successor", None)
        self._acks.add(self.queue_name, message.options["redis_message_id"], successor or ACK)

    def nack(self, message: MessageProxy) -> None:
        """Note that the message is dead."""
        self._acks.add(self.queue_name, message.options["redis_message_id"], NACK)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Put messages that were not started back to the front of their queue."""
        self._give_back(message.options["redis_message_id"] for message in messages)

    def close(self) -> None:
        """Put back whatever has not been handed out."""
        unstarted, self._fetched = self._fetched, deque()
        self._work.release(self.queue_name, len(unstarted))
        self._wire.close()
        self.requeue(unstarted)
        self._give_back_early()

    def _next(self) -> MessageProxy | None:
        if not self._fetched:
            self._fill()
        if self._early:
            self._fill()
        if not self._fetched:
            return None
        self._work.arrive(self.queue_name)
        return self._fetched.popleft()

    def _fill(self) -> None:
        room = self._work.reserve(self.queue_name, timeout=0 if self._early else ROOM_WAIT)
        if not room:
            return self._wait_for_room()
        try:
            self._fetched.extend(self._fetch(room))
        finally:
            self._work.release(self.queue_name, room - len(self._fetched))
        if self._is_paused:
            time.sleep(ROOM_WAIT)
        elif not self._fetched:
            self._wait_for_message()
        return None

    def _fetch(self, count: int) -> list[Delivery]:
        deliveries = (self._open(*pair) for pair in self._take(count))
        return [delivery for delivery in deliveries if delivery]

    def _take(self, count: int) -> list[Pair]:
        """Give ids and payloads: those that came with the end of the last wait, or else fetched now."""
        if self._early:
            early, self._early = self._early, []
            return early
        return self._understand(self._wire.send(self._fetch_command(count))[0])

    def _understand(self, reply: list[bytes]) -> list[Pair]:
        self._is_paused = reply == [b"paused"]
        return [] if self._is_paused else _pairs(reply)

    def _wait_for_message(self, *, seconds: float = LONGEST_WAIT, count: int = 1) -> None:
        """Let Redis wake exactly one waiting worker per message, the one that waits longest, and give it that."""
        wait = ("BLMOVE", self._queue_key, self._inbox_key, "LEFT", "RIGHT", seconds)
        waited, fetched = self._wire.attempt([(wait, self._fetch_command(count))])
        self._early = self._understand(fetched)
        self._note_fullness(is_full=isinstance(waited, redis.OutOfMemoryError))

    def _note_fullness(self, *, is_full: bool) -> None:
        """Say once that Redis is full, and look for messages now and then instead of waiting for them."""
        if is_full and not self._is_full:
            logger.error(
                "Redis is full: queue %s is polled until there is room, and sends are pending", self.queue_name
            )
        self._is_full = is_full
        if is_full and not self._early:
            time.sleep(FULL_PAUSE)

    def _fetch_command(self, count: int) -> tuple[Any, ...]:
        return self._scripts.command("fetch", self._scripts.broker_id, self.queue_name, count)

    def _wait_for_room(self) -> None:
        """Keep nothing that other processes could run sooner."""
        if self._early:
            self._give_back_early()
        elif self._work.is_stuck() and (unstarted := self._work.take_back(self.queue_name)):
            self.requeue(unstarted)
        self._scripts.beat()

    def _give_back_early(self) -> None:
        early, self._early = self._early, []
        if early:
            self._give_back(redis_message_id.decode() for redis_message_id, _ in early)

    def _open(self, redis_message_id: bytes, payload: bytes) -> Delivery | None:
        message = self._read(redis_message_id, payload)
        if message and message.options.get("eta") is not None:
            self._delay(message)
            return None
        return Delivery(message) if message else None

    def _read(self, redis_message_id: bytes, payload: bytes) -> Message[Any] | None:
        """Decode a message; one that cannot be is dead, and only that one."""
        try:
            return _decode(payload, queue_name=self.queue_name, redis_message_id=redis_message_id.decode())
        except DecodeError:
            logger.exception("Message %r in queue %s is unreadable: dead", redis_message_id, self.queue_name)
            self._acks.add(self.queue_name, redis_message_id.decode(), NACK)
            return None

    def _delay(self, message: Message[Any]) -> None:
        """Move a message that another producer put here with a time to where delayed messages wait."""
        delayed = message.copy(queue_name=dq_name(self.queue_name))
        redis_message_id = message.options["redis_message_id"]
        successor = (delayed.queue_name, redis_message_id, delayed.encode())
        self._acks.add(self.queue_name, redis_message_id, successor)

    def _lose_connection(self, error: Exception) -> None:
        """Forget what was not started: Redis still has it, and this process gives it back when it is reached."""
        self._work.release(self.queue_name, len(self._fetched))
        self._fetched.clear()
        self._work.take_back(self.queue_name)
        self._may_have_strays, self._early = True, []
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        logger.warning("Queue %s lost Redis, trying again in %.1f s: %s", self.queue_name, self._pause, error)
        time.sleep(self._pause)

    def _give_back_strays(self) -> None:
        """Give back everything Redis says this process holds, but what is running or just done."""
        self._scripts.load()
        kept = self._work.running(self.queue_name) | self._acks.unsent(self.queue_name)
        held = self._scripts.run("join", self._scripts.broker_id, self.queue_name)
        self._give_back(id_ for id_ in (each.decode() for each in held) if id_ not in kept)
        self._may_have_strays = False

    def _give_back(self, redis_message_ids: Iterable[str]) -> None:
        self._scripts.run("give_back", self._scripts.broker_id, self.queue_name, *redis_message_ids)


def _decode(payload: bytes, *, queue_name: str, redis_message_id: str) -> Message[Any]:
    message: Message[Any] = Message.decode(payload)
    if not isinstance(message.actor_name, str) or not isinstance(message.options, dict):
        raise DecodeError("The payload is JSON, but not a message.", payload, None)
    return message.copy(queue_name=queue_name, options={"redis_message_id": redis_message_id})


def _pairs(reply: list[bytes]) -> list[Pair]:
    return list(zip(reply[::2], reply[1::2], strict=True))

"""Dramatiq's Redis broker, made to strand nothing and to start a task at once.

The keys are Dramatiq's own, so its tools read them; three are added: ``__inbox__.<broker>.<queue>`` (a message
that woke a waiting worker), ``<queue>.DQ.etas`` (delayed messages by time) and ``__queues__`` (every queue ever
consumed). What goes over the wire is in ``lua/``.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from secrets import token_hex
from typing import Any

from dramatiq import Actor, Message, Middleware, get_encoder
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis, dq_name
from dramatiq.middleware import MiddlewareError, default_middleware

from project.broker.acks import Acks
from project.broker.addresses import connect
from project.broker.consumer import Delivery, QueueConsumer
from project.broker.delays import DelayConsumer
from project.broker.dramatiq_internals import message_of
from project.broker.orphans import Sightings, forget_dead_letters, rescue
from project.broker.pipeline import Wire
from project.broker.scripts import Scripts
from project.broker.shutdown import Drain
from project.broker.stranded import put_back_stranded
from project.broker.work_queue import WorkQueue

FIELDS = tuple(field.name for field in fields(Message))
CHUNK = 500
CHUNK_BYTES = 1_000_000


class ServiceBroker(RedisBroker):
    """A Redis broker whose sends are idempotent and whose consumers wait in Redis.

    Args:
        url: Any address that :func:`project.broker.addresses.connect` understands.
        options: What ``RedisBroker`` takes, except separate connection parameters.
    """

    client: Any  # redis-py types every reply as one that may have to be awaited
    #: Makes what takes the messages of actors that are not declared.
    stand_in: Callable[[str], Actor[..., Any]] | None = None

    def __init__(self, *, url: str, middleware: list[Middleware] | None = None, **options: Any) -> None:
        self._known_listeners: dict[str, tuple[list[Middleware], list[Callable[..., None]]]] = {}
        super().__init__(client=connect(url), maintenance_chance=0, middleware=[], **options)  # type: ignore[no-untyped-call]
        self.lua = Scripts(self.client, namespace=self.namespace, broker_id=self.broker_id)
        self.acks = Acks(self.lua)
        self._drain = Drain(scripts=self.lua, acks=self.acks)
        self._sightings = Sightings()
        given = [each() for each in default_middleware] if middleware is None else middleware
        for each in (self._drain, *given):
            self.add_middleware(each)

    @property
    def work(self) -> WorkQueue:
        """What the worker of this process has taken and not finished; each worker that boots gets a new one."""
        return self._drain.work

    def get_actor(self, actor_name: str) -> Actor[..., Any]:
        """Return the actor of that name or, if there is none, what stands in for it.

        Raises:
            ActorNotFound: If nothing does.
        """
        if self.stand_in is not None and actor_name not in self.actors:
            return self.stand_in(actor_name)
        return super().get_actor(actor_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """Consume a queue or, if its name says so, a delay queue.

        How much is fetched ahead follows the tasks' pace (see :mod:`project.broker.work_queue`), so the two
        other arguments, which Dramatiq's worker passes, are not needed.
        """
        if queue_name == dq_name(queue_name):
            return DelayConsumer(queue_name, signals=self, scripts=self.lua, work=self.work, acks=self.acks)
        return QueueConsumer(queue_name, scripts=self.lua, work=self.work, acks=self.acks)

    def run_script(self, script: str, *arguments: Any) -> Any:
        """Run one of the scripts in ``lua/``.

        Raises:
            ConnectionClosed: If Redis did not answer in time; nothing is sent a second time.
        """
        return self.lua.run(script, *arguments)

    def enqueue(self, message: Message[Any] | MessageProxy, *, delay: int | None = None) -> Message[Any]:
        """Send a message; a delivery that is sent again (a retry) goes out together with its ack.

        Args:
            message: An id of the form ``<message id>:<attempt>`` in its option ``redis_message_id`` is kept, and
                a message with that id which is still stored is not stored again. Every other message gets a new id.
            delay: Milliseconds to wait before the message may run.

        Raises:
            ConnectionClosed: If the broker did not answer in time.
        """
        stamped = _stamp(message_of(message) if isinstance(message, MessageProxy) else message, delay)
        self.emit_before("enqueue", stamped, delay)
        queue, redis_message_id, payload = stamped.queue_name, stamped.options["redis_message_id"], _encode(stamped)
        if isinstance(message, Delivery):
            message.successor = queue, redis_message_id, payload
        else:
            self.lua.run("enqueue", queue, _end(stamped), redis_message_id, payload)
        self.emit_after("enqueue", stamped, delay)
        return stamped

    def enqueue_many(self, messages: Sequence[Message[Any]]) -> list[Message[Any]]:
        """Send many messages in few round trips, as :meth:`enqueue` sends one.

        Raises:
            redis.OutOfMemoryError: If the broker is full; some of the messages may have been sent.
            ConnectionClosed: If the broker did not answer in time; some of the messages may have been sent.
        """
        if len(messages) == 1:
            return [self.enqueue(messages[0])]
        stamped = [_stamp(message, None) for message in messages]
        for message in stamped if self._listeners("before_enqueue") else ():
            self.emit_before("enqueue", message, None)
        chunks = _chunks(stamped)
        for (queue, end), arguments in islice(chunks, 1):
            self.lua.run("enqueue", queue, end, *arguments)  # which also sees to it that Redis has the script
        wire = Wire(self.client)
        try:
            wire.stream([self.lua.command("enqueue", queue, end, *arguments)] for (queue, end), arguments in chunks)
        finally:
            wire.close()
        for message in stamped if self._listeners("after_enqueue") else ():
            self.emit_after("enqueue", message, None)
        return stamped

    def holds(self, queue_name: str, redis_message_ids: Sequence[str]) -> list[bool]:
        """Tell which messages the broker still stores: waiting, held by a worker or running.

        One that is stored but in no list is put back by :mod:`project.broker.stranded`.

        Raises:
            ConnectionClosed: If the broker did not answer in time.
        """
        held: list[bool] = []
        for start in range(0, len(redis_message_ids), CHUNK):
            held += map(bool, self.lua.run("holds", queue_name, *redis_message_ids[start : start + CHUNK]))
        return held

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the middleware that listens, in order; Dramatiq calls all of it, six times for each task."""
        for listen in self._listeners(f"before_{signal}"):
            try:
                listen(self, *args, **kwargs)
            except MiddlewareError:
                raise
            except Exception:
                self.logger.critical("Unexpected failure in %s of %r.", signal, listen, exc_info=True)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the middleware that listens, in reverse order."""
        for listen in reversed(self._listeners(f"after_{signal}")):
            try:
                listen(self, *args, **kwargs)
            except Exception:
                self.logger.critical("Unexpected failure in %s of %r.", signal, listen, exc_info=True)

    def _listeners(self, signal: str) -> list[Callable[..., None]]:
        known, listeners = self._known_listeners.get(signal, ([], []))
        if known != self.middleware or not known:
            deaf = getattr(Middleware, signal)
            listeners = [getattr(each, signal) for each in self.middleware if getattr(type(each), signal) is not deaf]
            self._known_listeners[signal] = list(self.middleware), listeners
        return listeners

    def rescue(self) -> int:
        """Give back what dead brokers hold, as `project.broker.orphans` does, and forget old dead letters.

        Raises:
            ConnectionClosed: If the broker did not answer in time.
        """
        queues = self.get_declared_queues()
        forget_dead_letters(self.lua, self._sightings, queues=queues, ttl=self.dead_message_ttl)
        return rescue(self.lua, self._sightings, declared=queues | self.get_declared_delay_queues())

    def put_back_stranded(self) -> int:
        """Put stored messages that are in no list back into their queues, as `project.broker.stranded` does.

        Raises:
            ConnectionClosed: If the broker did not answer in time.
        """
        return put_back_stranded(self.lua, declared=self.get_declared_queues() | self.get_declared_delay_queues())


def _stamp(message: Message[Any], delay: int | None) -> Message[Any]:
    """Copy the message with its id in Redis and, if it is delayed, its time.

    A plain copy of the fields: ``dataclasses.replace`` would be a quarter of what a bulk send costs.
    """
    options = dict(message.options)
    if not str(options.get("redis_message_id", "")).startswith(f"{message.message_id}:"):
        options["redis_message_id"] = f"{time.time_ns():016x}{token_hex(8)}"  # sorts by time
    stamped: Message[Any] = object.__new__(type(message))
    stamped.__dict__.update(message.__dict__, options=options)
    if delay is not None:
        options["eta"] = current_millis() + delay
        stamped.__dict__["queue_name"] = dq_name(message.queue_name)
    return stamped


def _encode(message: Message[Any]) -> bytes:
    return get_encoder().encode({name: getattr(message, name) for name in FIELDS})


def _end(message: Message[Any]) -> str:
    """Say at which end of its queue a message goes: some overtake what waits there, as those of a priority below 0."""
    return "LPUSH" if message.options.get("front") or message.options.get("priority", 0) < 0 else "RPUSH"


def _chunks(messages: Sequence[Message[Any]]) -> Iterator[tuple[tuple[str, str], list[str | bytes]]]:
    """Group what is to be sent by queue and end, in pieces that do not hold Redis up."""
    pieces: dict[tuple[str, str], list[str | bytes]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for message in messages:
        payload, place = _encode(message), (message.queue_name, _end(message))
        piece = pieces.setdefault(place, [])
        piece += (message.options["redis_message_id"], payload)
        size = sizes[place] = sizes.get(place, 0) + len(payload)
        if len(piece) >= 2 * CHUNK or size >= CHUNK_BYTES:
            yield place, pieces.pop(place)
            del sizes[place]
    yield from pieces.items()

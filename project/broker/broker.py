"""Dramatiq's Redis broker, made to lose no message and to start a task at once.

The keys are Dramatiq's own, so its tools read them; some are added: `__inbox__.<broker>.<queue>` (a message that woke
a waiting worker), `<queue>.DQ.etas` (delayed messages by time), `__queues__` (every queue ever consumed) and
`__paused__` (the queues that hand out nothing). What Redis is asked to do is in `lua/`.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import structlog
from dramatiq import Actor, Message, Middleware
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name
from dramatiq.middleware import MiddlewareError, default_middleware

from project.broker.acks import Acks
from project.broker.addresses import connect
from project.broker.consumer import QueueConsumer
from project.broker.delays import DelayConsumer
from project.broker.delivery import Claims, Delivery
from project.broker.dramatiq_internals import message_of
from project.broker.orphans import Sightings, forget_dead_letters, rescue
from project.broker.outgoing import MOST_MESSAGES_TOGETHER, chunks, encode, end_for, stamp
from project.broker.scripts import Scripts
from project.broker.shutdown import Drain
from project.broker.stranded import put_back_stranded
from project.broker.work_queue import WorkQueue

log = structlog.get_logger(__name__)


class ServiceBroker(RedisBroker):
    """A Redis broker whose sends are idempotent and whose consumers wait in Redis.

    Args:
        url: Any address that `project.broker.addresses.connect` understands.
        middleware: What hears of messages and workers; Dramatiq's default if there is none.
        options: What `RedisBroker` takes, except separate connection parameters.
    """

    client: Any  # redis-py types every reply as one that may have to be awaited
    #: Returns what takes the messages of an actor that is not declared, by its name.
    stand_in: Callable[[str], Actor[..., Any]] | None = None
    #: Claims what a consumer has fetched, all of it together.
    claims: Claims | None = None

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
        """Return the actor of that name or, if it is not declared, what takes its messages.

        Raises:
            ActorNotFound: If nothing does.
        """
        if (actor := self.actors.get(actor_name)) is not None:
            return actor
        return self.stand_in(actor_name) if self.stand_in is not None else super().get_actor(actor_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """Consume a queue or, if its name says so, a delay queue.

        Args:
            queue_name: The queue.
            prefetch: Passed by Dramatiq's worker and not needed: `project.broker.work_queue` knows how much to fetch.
            timeout: Passed by it too, and not needed.
        """
        if queue_name == dq_name(queue_name):
            return DelayConsumer(queue_name, signals=self, scripts=self.lua, work=self.work, acks=self.acks)
        return QueueConsumer(queue_name, scripts=self.lua, work=self.work, acks=self.acks, claims=self.claims)

    def run_script(self, script: str, *arguments: Any) -> Any:
        """Run one of the scripts in `lua/`, which say what they take and return.

        Raises:
            ConnectionClosed: If Redis did not answer in time; nothing is sent a second time.
        """
        return self.lua.run(script, *arguments)

    def enqueue(self, message: Message[Any] | MessageProxy, *, delay: int | None = None) -> Message[Any]:
        """Send a message; a delivery that is sent again (a retry) goes out together with its ack.

        Args:
            message: An id of the form `<message id>:<attempt>` in its option `redis_message_id` is kept, and
                a message with that id which is still stored is not stored again. Every other message gets a new id.
            delay: Milliseconds to wait before the message may run.

        Raises:
            ConnectionClosed: If the broker did not answer in time.
        """
        stamped = stamp(message_of(message) if isinstance(message, MessageProxy) else message, delay)
        self.emit_before("enqueue", stamped, delay)
        queue, redis_message_id, payload = stamped.queue_name, stamped.options["redis_message_id"], encode(stamped)
        if isinstance(message, Delivery):
            message.successor = queue, redis_message_id, payload
        else:
            self.lua.run("enqueue", queue, end_for(stamped), redis_message_id, payload)
        self.emit_after("enqueue", stamped, delay)
        return stamped

    def enqueue_many(self, messages: Sequence[Message[Any]]) -> list[Message[Any]]:
        """Send many messages in few round trips, as `enqueue` sends one.

        Raises:
            redis.OutOfMemoryError: If the broker is full; some of the messages may have been sent.
            ConnectionClosed: If the broker did not answer in time; some of the messages may have been sent.
        """
        if len(messages) == 1:
            return [self.enqueue(messages[0])]
        stamped = [stamp(message, None) for message in messages]
        for message in stamped if self._listeners("before_enqueue") else ():
            self.emit_before("enqueue", message, None)
        commands = chunks(stamped)
        for (queue, end), arguments in islice(commands, 1):
            self.lua.run("enqueue", queue, end, *arguments)  # which also sees to it that Redis has the script
        self.lua.connections.stream(
            [self.lua.command("enqueue", queue, end, *arguments)] for (queue, end), arguments in commands
        )
        for message in stamped if self._listeners("after_enqueue") else ():
            self.emit_after("enqueue", message, None)
        return stamped

    def holds(self, queue_name: str, redis_message_id: str) -> bool:
        """Tell whether the broker stores a message: waiting, held by a worker or running.

        Args:
            queue_name: Its queue.
            redis_message_id: Its id there.

        Raises:
            ConnectionClosed: If the broker did not answer in time.
        """
        return not self.missing(queue_name, [redis_message_id])

    def missing(self, queue_name: str, redis_message_ids: Sequence[str]) -> list[str]:
        """Return those of the messages that the broker does not store, in their order.

        One that is stored but in no list is put back by `put_back_stranded`.

        Args:
            queue_name: The queue of all of them.
            redis_message_ids: Their ids there.

        Raises:
            ConnectionClosed: If the broker did not answer in time.
        """
        missing: list[str] = []
        for start in range(0, len(redis_message_ids), MOST_MESSAGES_TOGETHER):
            some = " ".join(redis_message_ids[start : start + MOST_MESSAGES_TOGETHER])
            missing += (each.decode() for each in self.lua.run("missing", queue_name, some))
        return missing

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the middleware that has something to do, in order; Dramatiq calls all of it, six times for each task."""
        for listen in self._listeners(f"before_{signal}"):
            try:
                listen(self, *args, **kwargs)
            except MiddlewareError:
                raise
            except Exception as error:
                _report(listen, error)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the middleware that has something to do, in reverse order."""
        for listen in reversed(self._listeners(f"after_{signal}")):
            try:
                listen(self, *args, **kwargs)
            except Exception as error:
                _report(listen, error)

    def _listeners(self, signal: str) -> list[Callable[..., None]]:
        known, listeners = self._known_listeners.get(signal, ([], []))
        if known != self.middleware or not known:
            nothing = getattr(Middleware, signal)
            listeners = [
                getattr(each, signal) for each in self.middleware if getattr(type(each), signal) is not nothing
            ]
            self._known_listeners[signal] = list(self.middleware), listeners
        return listeners

    def rescue(self) -> int:
        """Give back what dead brokers hold, and forget old dead letters; see `project.broker.orphans`.

        Returns:
            How many messages went back.

        Raises:
            ConnectionClosed: If the broker did not answer in time.
        """
        queues = self.get_declared_queues()
        forget_dead_letters(self.lua, self._sightings, queues=queues, ttl=self.dead_message_ttl)
        return rescue(self.lua, self._sightings, declared=queues | self.get_declared_delay_queues())

    def put_back_stranded(self) -> int:
        """Put stored messages that are in no list back into their queues; see `project.broker.stranded`.

        Returns:
            How many messages went back.

        Raises:
            ConnectionClosed: If the broker did not answer in time.
        """
        return put_back_stranded(self.lua, declared=self.get_declared_queues() | self.get_declared_delay_queues())


def _report(listen: Callable[..., None], error: Exception) -> None:
    """Report what middleware raised; it concerns neither the message nor other middleware."""
    cure = "correct the middleware; the message goes on without it"
    log.critical("middleware_failed", middleware=repr(listen), cure=cure, exc_info=error)

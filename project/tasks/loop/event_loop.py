"""The event loop of a worker process: runs the messages of coroutine functions side by side, in one thread.

Dramatiq's own way gives each coroutine a worker thread that waits for it. Here its messages do not reach a worker
thread: the work queue keeps places for them apart (`project.broker.work_queue`), and the loop's thread stands among the
worker's own, so that it is watched, and joined at the end, as they are.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings
from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import Middleware, SkipMessage
from dramatiq.worker import Worker

from project.broker.dramatiq_internals import add_thread, post_process
from project.tasks.declaration import all_declarations, declaration_of, find_declaration
from project.tasks.loop.database import BLOCKING_CALLS_AT_ONCE, DATABASE_CALLS_AT_ONCE, BlockingCalls
from project.tasks.loop.execution import execute_async
from project.tasks.loop.own_tasks import make_task
from project.tasks.running.beside_loop import THREADS_BESIDE_THE_LOOP, beside_loop
from project.tasks.running.execution import take_delivery
from project.tasks.running.loop_pulse import LoopPulse

if TYPE_CHECKING:
    from project.broker.broker import ServiceBroker

log = structlog.get_logger(__name__)

#: What has middleware send more messages when one has ended: that waits for Redis.
_SENDS_MORE = {"pipe_target", "on_success", "on_failure"}


class EventLoop(Middleware):
    """Gives a worker an event loop, if any declared task is a coroutine function.

    Attributes:
        places: How many coroutines run at once; whoever starts the worker may choose before it boots. With none, each
            takes a thread.
    """

    def __init__(self) -> None:
        self.places: int = settings.ASYNC_CONCURRENCY

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to run on it."""
        return self.places > 0 and any(task.is_async for task in all_declarations().values())

    @property
    def threads(self) -> int:
        """How many threads beside the loop use the database."""
        calls = DATABASE_CALLS_AT_ONCE + BLOCKING_CALLS_AT_ONCE + THREADS_BESIDE_THE_LOOP
        return calls if self.is_needed else 0

    def before_worker_boot(self, broker: ServiceBroker, worker: Worker) -> None:  # type: ignore[override]
        """Start the loop."""
        if self.is_needed:
            thread = EventLoopThread(broker, worker)
            thread.start()
            add_thread(worker, thread)
            broker.work.open_loop(places=self.places, is_for_loop=_is_async, wake=thread.wake)


def event_loop_of(broker: Broker) -> EventLoop:
    """Return the middleware of a broker that gives workers an event loop."""
    (found,) = [middleware for middleware in broker.middleware if isinstance(middleware, EventLoop)]
    return found


class EventLoopThread(threading.Thread):
    """Runs the loop; to Dramatiq's worker it is one of its worker threads.

    Args:
        broker: Whose middleware hears of messages.
        worker: Whose messages it runs.
    """

    def __init__(self, broker: ServiceBroker, worker: Worker) -> None:
        super().__init__(name="event-loop", daemon=True)
        self.paused_event = threading.Event()
        self._broker, self._worker, self._work = broker, worker, broker.work
        self._running: set[asyncio.Task[None]] = set()
        self._is_paused = self._is_stopping = False
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(make_task)  # type: ignore[arg-type]  # typeshed wants a protocol of its own
        self._loop.set_default_executor(BlockingCalls())

    def run(self) -> None:
        """Run the loop until `stop` was called and nothing runs there any more."""
        self._pulse = LoopPulse(self._loop, thread_id=threading.get_ident())
        asyncio.set_event_loop(self._loop)
        while not (self._is_stopping and not self._running):
            # What a task starts may raise these, and asyncio lets them end the loop.
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def wake(self) -> None:
        """Start what waits for a place; from any thread."""
        self._call(self._start_waiting)

    def stop(self) -> None:
        """Start nothing more, and end when all that runs has ended."""
        self._work.close_loop()
        self._call(self._stop)

    def pause(self) -> None:
        """Start nothing for a while."""
        self._is_paused = True
        self.paused_event.set()

    def resume(self) -> None:
        """Go on."""
        self._is_paused = False
        self.paused_event.clear()
        self.wake()

    def _call(self, function: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(function)

    def _stop(self) -> None:
        self._is_stopping = True
        if not self._running:
            self._loop.stop()

    def _start_waiting(self) -> None:
        if self._is_paused:
            return
        for message in self._work.take_for_loop():
            task = self._loop.create_task(self._process(message), name=message.message_id)
            self._running.add(task)
            task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._is_stopping and not self._running:
            self._loop.stop()
        elif self._work.waits_for_loop:
            self._start_waiting()

    async def _process(self, message: MessageProxy) -> None:
        """Do for a message what Dramatiq's `WorkerThread.process_message` does, in the same order."""
        result: Any = None
        error: BaseException | None = None
        try:
            self._broker.emit_before("process_message", message)
            take_delivery(message.actor_name)
            if not message.failed:
                result = await execute_async(declaration_of(message.actor_name), message, self._pulse)
        except BaseException as raised:
            error = raised
            message.stuff_exception(raised)
        try:
            if error is None and not message.failed and not message.options.keys() & _SENDS_MORE:
                self._conclude(message, result, None)
            else:
                await beside_loop(self._conclude, message, result, error)
        finally:
            self._work.done_on_loop(message)
            message.clear_exception()

    def _conclude(self, message: MessageProxy, result: Any, error: BaseException | None) -> None:
        if isinstance(error, SkipMessage):
            log.warning("message_skipped", run_id=message.message_id, reason=str(error))
            self._broker.emit_after("skip_message", message)
        elif error is not None:
            self._report(message, error)
            self._broker.emit_after("process_message", message, exception=error)
        else:
            self._broker.emit_after("process_message", message, result=result)
        post_process(self._worker, message)

    def _report(self, message: MessageProxy, error: BaseException) -> None:
        throws = self._broker.get_actor(message.actor_name).options.get("throws") or ()
        is_expected = isinstance(error, throws)
        say = log.info if is_expected else log.error
        say("message_failed", task=message.actor_name, run_id=message.message_id, exc_info=not is_expected and error)


def _is_async(actor_name: str) -> bool:
    task = find_declaration(actor_name)
    return task is not None and task.is_async

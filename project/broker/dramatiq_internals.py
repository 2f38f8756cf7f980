"""What we rely on in Dramatiq 2.2 that it does not promise to keep: read this before an upgrade.

Private names are reached through the functions here. `RELIED_ON` lists these and every behaviour that is nowhere
documented; each entry keeps a fingerprint of the code that was read, and `tests/test_dramatiq_internals.py` names those
whose code has changed since. Then read the new code, see whether what we rely on still holds, and note its fingerprint.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Thread
from typing import Any

from dramatiq import Message, Worker
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.threading import raise_thread_exception as raise_thread_exception  # noqa: PLC0414 - exported
from dramatiq.worker import _WorkQueueItem

#: What the worker's queue holds: a message, and what it is sorted by.
WorkQueueItem = _WorkQueueItem


def message_of(message: MessageProxy) -> Message[Any]:
    """Return the message that a delivery wraps."""
    return message._message


def failure_of(message: MessageProxy) -> BaseException | None:
    """Return what was raised while a delivery was processed, if anything was; known until it is acked or rejected."""
    return message._exception


def use_work_queue(worker: Worker, work: Any) -> None:
    """Put a queue of our own between consumers and worker threads; only before the worker has made any."""
    worker.work_queue = work


def threads_of(worker: Worker) -> list[Thread]:
    """Return the threads that run tasks and those that consume queues."""
    return [*worker.workers, *worker.consumers.values()]


def add_thread(worker: Worker, thread: Any) -> None:
    """Have a worker that has booted pause, stop and join a thread of ours as it does its worker threads."""
    worker.workers.append(thread)


def post_process(worker: Worker, message: MessageProxy) -> None:
    """Ack a message that was run, or reject it if it failed."""
    worker.consumers[message.queue_name].post_process_message(message)


def consumed_queues(worker: Worker) -> list[str]:
    """Return the queues that a running worker consumes, with their delay queues."""
    return list(worker.consumers)


def consumers_of(worker: Worker) -> list[Consumer]:
    """Return the consumers of a running worker that have reached the broker."""
    return [thread.consumer for thread in worker.consumers.values() if thread.consumer is not None]


def give_back(worker: Worker, queue_name: str, messages: Iterable[MessageProxy]) -> None:
    """Have a queue's consumer put messages back that no thread has started.

    Raises:
        ConnectionClosed: If the broker did not answer in time.
    """
    worker.consumers[queue_name].requeue_messages(messages)


def queues_asked_for(worker: Worker) -> set[str] | None:
    """Return the queues that a worker was told to consume, without their delay queues; `None` for all."""
    return worker.consumer_whitelist or None


def consume_only(worker: Worker, queues: Iterable[str]) -> None:
    """Have a worker that is about to start consume these queues and their delay queues, and no others."""
    worker.consumer_whitelist = set(queues)


@dataclass(frozen=True)
class Reliance:
    """Something of Dramatiq's that we rely on.

    Args:
        of: Its module and name.
        on: What has to stay true of it.
        by: The folders that rely on it.
        source: The fingerprint of its code when that was read last.
    """

    of: str
    on: str
    by: str
    source: str


RELIED_ON = (
    Reliance(
        "dramatiq.worker:Worker.__init__", "the names and types of its attributes", "broker tasks pool", "63b32f58a979"
    ),
    Reliance(
        "dramatiq.worker:Worker.start",
        "before_worker_boot comes before any thread is made, so the work queue and the list of queues may be replaced",
        "broker tasks",
        "d9d7a708be25",
    ),
    Reliance(
        "dramatiq.worker:Worker.stop",
        "consumers outlive worker threads, and after_worker_shutdown comes when both have ended; it calls stop and "
        "join of each of `workers`",
        "broker tasks",
        "af7d3f33ae8e",
    ),
    Reliance(
        "dramatiq.worker:Worker._add_consumer",
        "it asks consumer_whitelist, for a delay queue by the name of its queue, and hands on work_queue",
        "broker tasks",
        "77c8892ce932",
    ),
    Reliance(
        "dramatiq.worker:_WorkQueueItem",
        "it sorts by priority and then by time, has its message in `message` and can be copied by `replace`",
        "broker",
        "e9214caa48ee",
    ),
    Reliance(
        "dramatiq.worker:ConsumerThread.run",
        "a consumer may return None, and one that raises is thrown away and made again after three seconds",
        "broker",
        "a82a8efb986f",
    ),
    Reliance(
        "dramatiq.worker:ConsumerThread.handle_message",
        "a message without `eta` goes to the work queue; one without an actor is rejected at once",
        "broker tasks",
        "687e40a82da6",
    ),
    Reliance(
        "dramatiq.worker:ConsumerThread.post_process_message",
        "it acks, or rejects what failed, exactly once, and emits after_nack when the consumer knows",
        "broker tasks",
        "d2bba383331b",
    ),
    Reliance(
        "dramatiq.worker:ConsumerThread.requeue_messages", "it hands on to Consumer.requeue", "broker", "d00991971cd6"
    ),
    Reliance(
        "dramatiq.worker:WorkerThread.process_message",
        "middleware, actor, ack and task_done come in this order and in one thread; the exception is kept for the ack; "
        "our event loop does the same",
        "broker tasks",
        "b70d3c6c438a",
    ),
    Reliance(
        "dramatiq.worker:WorkerThread.run",
        "it calls only get, with a timeout, of the work queue",
        "broker",
        "aa0e1022d6b6",
    ),
    Reliance("dramatiq.broker:MessageProxy", "`_message`, `_exception`, `failed`", "broker tasks", "a2c6dbab72b9"),
    Reliance("dramatiq.broker:Broker.__init__", "it adds each middleware by add_middleware", "broker", "33a99850fc70"),
    Reliance(
        "dramatiq.broker:Broker.add_middleware",
        "it keeps their order in `middleware`",
        "broker tasks pool",
        "b99ac9db0e5e",
    ),
    Reliance(
        "dramatiq.broker:Broker.emit_before", "ours does the same for those that listen", "broker", "6153a5c27e89"
    ),
    Reliance("dramatiq.broker:Broker.emit_after", "ours does the same for those that listen", "broker", "cb2ae2753fa4"),
    Reliance(
        "dramatiq.brokers.redis:RedisBroker.__init__",
        "`client`, `namespace`, `broker_id`, `dead_message_ttl`; an empty list of middleware stays empty",
        "broker tasks pool drill",
        "e1d1ec1b422b",
    ),
    Reliance(
        "dramatiq.brokers.redis:RedisBroker.enqueue",
        "ours replaces it, with the same signals",
        "broker",
        "8a81d1b1e098",
    ),
    Reliance(
        "dramatiq.brokers.redis:RedisBroker.declare_queue",
        "it declares the delay queue too",
        "broker tasks",
        "f6bfd2eab0ce",
    ),
    Reliance(
        "dramatiq.message:Message",
        "its fields are what is encoded, and a copy of its `__dict__` is a message",
        "broker tasks",
        "07d51dbb74dc",
    ),
    Reliance(
        "dramatiq.actor:Actor.__init__", "which attributes an actor has; it declares itself", "tasks", "0372ff57b1bf"
    ),
    Reliance(
        "dramatiq.middleware.retries:Retries.after_process_message",
        "a retry is sent by `broker.enqueue(message, delay=…)` with the very delivery that failed",
        "broker tasks",
        "d88a4a458b8a",
    ),
    Reliance("dramatiq.encoder:JSONEncoder", "ours reads and writes the same", "broker", "8bce04449447"),
    Reliance("dramatiq.common:q_name", "the name of a delay queue's queue", "broker", "7c02cc1c42e6"),
    Reliance("dramatiq.common:dq_name", "the name of a queue's delay queue", "broker", "80d24c5605c2"),
    Reliance("dramatiq.common:current_millis", "`eta` is in milliseconds since 1970", "broker tasks", "5737a2e3fbe4"),
    Reliance(
        "dramatiq.threading:raise_thread_exception", "it interrupts a thread between two lines", "tasks", "06ae5696f208"
    ),
    Reliance(
        "dramatiq.cli:worker_process",
        "its arguments; it loads the broker by calling what `broker` names; the first signal stops, a second one ends",
        "pool",
        "33da65f5c1ba",
    ),
    Reliance(
        "dramatiq.cli:canteen_try_init", "one that is `initialized` already collects nothing", "pool", "693e6ea75849"
    ),
    Reliance("dramatiq.cli:fork_process", "its arguments", "pool", "e215a6c3fd74"),
    Reliance(
        "dramatiq.cli:make_argument_parser", "its options and the names that they are parsed to", "pool", "9224b02e2663"
    ),
    Reliance(
        "dramatiq.cli:try_block_signals", "no signal is lost before worker_process listens", "pool", "00c7d449a770"
    ),
    Reliance(
        "dramatiq.cli:setup_pidfile",
        "it raises RuntimeError if a process that lives has the file",
        "pool",
        "4dcefa038718",
    ),
    Reliance(
        "django_dramatiq.management.commands.rundramatiq:Command",
        "discover_tasks_modules, and the options and their names",
        "pool",
        "79fedd939cb4",
    ),
)

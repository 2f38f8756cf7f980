"""What we rely on in Dramatiq that it does not promise: a failure here names what an upgrade has to look at."""

import hashlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.worker import Worker

from project.broker import dramatiq_internals as internals
from project.broker.broker import ServiceBroker
from project.broker.dramatiq_internals import RELIED_ON, Reliance

ROOT = Path(__file__).parent.parent
PRIVATE = re.compile(
    r"\._(message|exception|queued_time|add_consumer|add_worker)\b|consumer_whitelist|requeue_messages"
    r"|worker\.(workers|consumers|work_queue)\b|from dramatiq\S* import .*(\b_|raise_thread_exception)"
)


def fingerprint(name: str) -> str:
    """Return a digest of a function's or class's source, whatever its indentation."""
    source = inspect.getsource(pkgutil.resolve_name(name))
    return hashlib.sha256("\n".join(map(str.strip, source.splitlines())).encode()).hexdigest()[:12]


@pytest.fixture
def broker(own_broker: ServiceBroker) -> ServiceBroker:
    return own_broker


@pytest.mark.parametrize("reliance", RELIED_ON, ids=lambda reliance: reliance.of)
def test_what_we_rely_on_is_as_it_was_read(reliance: Reliance) -> None:
    assert fingerprint(reliance.of) == reliance.source, (
        f"{reliance.of} has changed. project/({reliance.by.replace(' ', '|')}) relies on this: {reliance.on}. "
        f"Read it; if that still holds, note {fingerprint(reliance.of)!r} in project/broker/dramatiq_internals.py."
    )


def test_the_version_is_one_that_was_read() -> None:
    assert dramatiq.__version__.startswith("2.2."), (
        "Read Dramatiq's changes since 2.2 with project/broker/dramatiq_internals.py beside you, then change this."
    )


def test_who_relies_on_dramatiq_is_still_there() -> None:
    rooms = {room for reliance in RELIED_ON for room in reliance.by.split()}

    assert [room for room in rooms if not (ROOT / "project" / room).is_dir()] == []


def test_no_other_module_reaches_for_private_names() -> None:
    modules = [*(ROOT / "project").rglob("*.py"), *(ROOT / "scheduler").rglob("*.py")]
    reaching = [
        f"{module.relative_to(ROOT)}:{number}: {line.strip()}"
        for module in modules
        if module.name != "dramatiq_internals.py"
        for number, line in enumerate(module.read_text().splitlines(), start=1)
        if PRIVATE.search(line)
    ]

    assert reaching == []


def test_a_worker_consumes_with_our_work_queue_what_it_is_told_to(broker: ServiceBroker) -> None:
    broker.declare_queue("other")
    worker = Worker(broker, worker_threads=1)
    assert internals.queues_asked_for(worker) is None
    internals.consume_only(worker, ["other"])
    worker.start()
    try:
        assert internals.queues_asked_for(worker) == {"other"}
        assert sorted(internals.consumed_queues(worker)) == ["other", "other.DQ"]
        threads: list[Any] = internals.threads_of(worker)
        assert len(threads) == 3
        assert all(thread.work_queue is broker.work for thread in threads)
    finally:
        worker.stop()


def test_the_exception_of_a_rejected_message_is_known_when_it_is_rejected(broker: ServiceBroker) -> None:
    failures: list[BaseException | None] = []

    class Listener(dramatiq.Middleware):
        def after_nack(self, broker: dramatiq.Broker, message: Any) -> None:
            assert internals.message_of(message).actor_name == "unknown"
            failures.append(internals.failure_of(message))

    broker.add_middleware(Listener())
    broker.enqueue(Message(queue_name="default", actor_name="unknown", args=(), kwargs={}, options={}))
    worker = Worker(broker, worker_threads=1)
    worker.start()
    broker.join("default", timeout=10_000)
    worker.stop()

    assert [type(failure) for failure in failures] == [dramatiq.errors.ActorNotFound]


def test_dramatiqs_own_broker_reads_what_ours_stored(broker: ServiceBroker) -> None:
    sent = broker.enqueue(Message(queue_name="default", actor_name="nothing", args=(), kwargs={}, options={}))
    theirs = RedisBroker(client=broker.client, namespace=broker.namespace, middleware=[])
    theirs.declare_queue("default")

    read = next(theirs.consume("default"))

    assert read is not None
    assert internals.message_of(read) == sent

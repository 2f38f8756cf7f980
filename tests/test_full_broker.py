"""A broker whose memory is full still hands out what it has, and so gets room again."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from dramatiq import Actor, Message
from dramatiq.worker import Worker
from structlog.testing import capture_logs

from project.broker.broker import ServiceBroker
from project.embedded.server import Server
from project.embedded.valkey import valkey
from tests.eventually import eventually

#: What the broker takes before it is full.
SPARE_BYTES = 3_000_000
MESSAGE_BYTES = 1_000


@pytest.fixture
def server(server_directory: Path) -> Iterator[Server]:
    server = valkey(server_directory / "valkey", durable=False)
    server.start()
    server.wait_until_ready()
    yield server
    server.stop()


@pytest.fixture
def broker(server: Server) -> Iterator[ServiceBroker]:
    broker = ServiceBroker(url=server.url, middleware=[])
    broker.declare_queue("default")
    broker.lua.load()
    yield broker
    broker.client.close()


def fill(broker: ServiceBroker) -> int:
    """Send until the broker refuses; tell how many messages it took."""
    broker.client.config_set("maxmemory", broker.client.info("memory")["used_memory"] + SPARE_BYTES)
    for sent in itertools.count(step=100):
        try:
            broker.enqueue_many([make_message() for _ in range(100)])
        except redis.OutOfMemoryError:
            return sent
    raise AssertionError


def make_message(**options: object) -> Message[None]:
    return Message(queue_name="default", actor_name="nothing", args=("x" * MESSAGE_BYTES,), kwargs={}, options=options)


def shut(broker: ServiceBroker) -> None:
    """Make the broker so full that nothing frees enough."""
    broker.client.config_set("maxmemory", 1)


def test_a_full_broker_is_emptied_by_its_workers(broker: ServiceBroker) -> None:
    done: list[None] = []
    Actor(
        lambda _: done.append(None), broker=broker, actor_name="nothing", queue_name="default", priority=0, options={}
    )
    sent = fill(broker)
    shut(broker)
    worker = Worker(broker, worker_threads=2)

    with capture_logs() as lines:
        worker.start()
        eventually(lambda: len(done) >= sent)
        eventually(lambda: not broker.client.exists("dramatiq:default.msgs"))
    worker.stop()

    assert [line["queue"] for line in lines if line["event"] == "broker_full"].count("default") == 1


def test_what_comes_while_the_broker_is_full_is_found_soon_after(broker: ServiceBroker) -> None:
    done: list[str] = []
    Actor(done.append, broker=broker, actor_name="nothing", queue_name="default", priority=0, options={})
    shut(broker)
    worker = Worker(broker, worker_threads=1)
    worker.start()
    eventually(lambda: broker.client.zcard("dramatiq:__heartbeats__") == 1)
    broker.client.config_set("maxmemory", 0)
    broker.enqueue(make_message())
    eventually(lambda: len(done) == 1)
    worker.stop()


def test_a_full_broker_takes_beats_and_dead_letters_and_gives_back_what_is_held(broker: ServiceBroker) -> None:
    consumer = broker.consume("default")
    for _ in range(3):
        broker.enqueue(make_message())
    shut(broker)
    dead, done, returned = (message for message in (next(consumer), next(consumer), next(consumer)) if message)

    consumer.nack(dead)
    consumer.ack(done)
    assert broker.acks.flush(timeout=5)
    consumer.requeue([returned])
    broker.lua.beat()

    assert broker.client.hlen("dramatiq:default.XQ.msgs") == 1
    assert broker.client.hlen("dramatiq:default.msgs") == broker.client.llen("dramatiq:default") == 1


def test_dead_workers_messages_are_given_back_by_a_full_broker(broker: ServiceBroker) -> None:
    broker.enqueue(make_message())
    assert next(broker.consume("default"))
    shut(broker)
    ((_, beat),) = broker.client.zrange("dramatiq:__heartbeats__", 0, -1, withscores=True)
    assert broker.run_script("rescue", broker.broker_id, int(beat), "default") == 1

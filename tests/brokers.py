"""What the tests of the broker share: brokers in a namespace of their own, their consumers and messages."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from dramatiq import Message
from dramatiq.broker import MessageProxy

from project.broker.broker import ServiceBroker
from project.broker.consumer import QueueConsumer


@pytest.fixture
def namespace() -> Iterator[str]:
    """What the keys of brokers begin with that talk to each other and to no others; emptied at the end."""
    namespace = f"test-{uuid4()}"
    yield namespace
    broker = make_broker(namespace)
    for key in broker.client.scan_iter(f"{namespace}:*"):
        broker.client.delete(key)
    broker.client.close()


@pytest.fixture
def own_broker(namespace: str) -> Iterator[ServiceBroker]:
    """A broker that nobody else uses, on the server that all tests use."""
    broker = make_broker(namespace)
    yield broker
    broker.client.close()


@pytest.fixture
def consumer(own_broker: ServiceBroker) -> QueueConsumer:
    """Consumes its queue `default`."""
    return make_consumer(own_broker)


def make_broker(namespace: str, *, url: str = "") -> ServiceBroker:
    broker = ServiceBroker(url=url or os.environ["REDIS_URL"], namespace=namespace, middleware=[])
    broker.declare_queue("default")
    return broker


def make_consumer(broker: ServiceBroker, queue: str = "default") -> QueueConsumer:
    consumer = broker.consume(queue)
    assert isinstance(consumer, QueueConsumer)
    return consumer


def make_message(queue: str = "default", **options: object) -> Message[None]:
    return Message(queue_name=queue, actor_name="nothing", args=(), kwargs={}, options=options)


def take(consumer: QueueConsumer) -> MessageProxy:
    message = next(consumer)
    assert message is not None
    return message


def held(broker: ServiceBroker) -> int:
    """Return how many messages of the queue `default` the broker holds."""
    return int(broker.client.scard(f"{broker.namespace}:__acks__.{broker.broker_id}.default"))


def stored(broker: ServiceBroker, queue: str = "default") -> int:
    """Return how many messages of a queue Redis stores."""
    return int(broker.client.hlen(f"{broker.namespace}:{queue}.msgs"))


def waiting(broker: ServiceBroker) -> list[str]:
    """Return the Redis ids of what waits in the queue `default`, first the next one."""
    return [each.decode() for each in broker.client.lrange(f"{broker.namespace}:default", 0, -1)]


def evaluations(broker: ServiceBroker) -> int:
    """Return how many scripts the server has run."""
    stats = broker.client.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])

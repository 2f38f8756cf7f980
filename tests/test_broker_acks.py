"""What becomes of messages that were taken reaches Redis: acks, dead letters, retries."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from project.broker import acks
from project.broker.acks import MOST_ACKS_TOGETHER
from project.broker.broker import ServiceBroker
from project.broker.consumer import QueueConsumer
from tests.brokers import held, make_message, stored, take
from tests.eventually import eventually


@pytest.fixture
def broker(own_broker: ServiceBroker) -> ServiceBroker:
    return own_broker


def test_an_ack_reaches_redis_by_itself(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.enqueue(make_message())
    consumer.ack(take(consumer))

    eventually(lambda: stored(broker) == held(broker) == 0)


def test_many_acks_travel_together(
    broker: ServiceBroker, consumer: QueueConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acks, "ACKS_GATHERED_FOR", timedelta(minutes=1))
    broker.work.threads = MOST_ACKS_TOGETHER
    broker.enqueue_many([make_message() for _ in range(MOST_ACKS_TOGETHER)])
    messages = [take(consumer) for _ in range(MOST_ACKS_TOGETHER)]
    sent: list[object] = []
    monkeypatch.setattr(broker.lua, "run", record(sent, broker.lua.run))
    for message in messages:
        consumer.ack(message)

    assert broker.acks.flush(timeout=10)
    assert stored(broker) == 0
    assert sent == ["settle"]


def record(sent: list[object], run: Callable[..., object]) -> Callable[..., object]:
    """Note which scripts are run."""

    def recording(script: str, *arguments: object) -> object:
        sent.append(script)
        return run(script, *arguments)

    return recording


def test_a_nack_keeps_the_payload_among_the_dead(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    sent = broker.enqueue(make_message())
    consumer.nack(take(consumer))
    broker.acks.flush(timeout=5)

    assert broker.client.hvals(f"{broker.namespace}:default.XQ.msgs") == [sent.encode()]
    assert stored(broker) == held(broker) == 0


def test_dead_letters_are_forgotten_after_their_time(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.enqueue(make_message())
    consumer.nack(take(consumer))
    broker.acks.flush(timeout=5)
    broker.dead_message_ttl = -1000

    broker.rescue()

    assert broker.client.hlen(f"{broker.namespace}:default.XQ.msgs") == 0


def test_a_retry_replaces_the_failed_attempt_in_one_step(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.enqueue(make_message())
    delivery = take(consumer)
    broker.enqueue(delivery, delay=10_000)
    assert stored(broker, "default.DQ") == 0

    consumer.ack(delivery)
    broker.acks.flush(timeout=5)

    assert stored(broker) == held(broker) == 0
    assert stored(broker, "default.DQ") == 1

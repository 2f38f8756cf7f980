"""Delayed messages wait in Redis until they are due, whatever becomes of the worker."""

import threading
from datetime import timedelta

import pytest
from dramatiq.common import current_millis

from project.broker.broker import ServiceBroker
from project.broker.consumer import QueueConsumer
from tests.brokers import make_consumer, make_message, stored, take
from tests.eventually import eventually


@pytest.fixture
def broker(own_broker: ServiceBroker) -> ServiceBroker:
    return own_broker


def test_a_delayed_message_runs_when_it_is_due_and_not_before(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    delays = make_consumer(broker, "default.DQ")
    due = current_millis() + 300
    broker.enqueue(make_message(), delay=300)
    consuming = threading.Thread(target=lambda: [next(delays) for _ in range(3)])
    consuming.start()
    eventually(lambda: stored(broker), every=0.005)

    assert current_millis() >= due
    consuming.join()
    message = take(consumer)
    assert message.queue_name == "default"
    assert "eta" not in message.options
    assert stored(broker, "default.DQ") == 0


def test_a_far_delay_does_not_hold_up_a_near_one(broker: ServiceBroker) -> None:
    delays = make_consumer(broker, "default.DQ")
    for _ in range(3):
        broker.enqueue(make_message(), delay=60_000)
    near = broker.enqueue(make_message(), delay=0).options["redis_message_id"]
    next(delays)

    assert broker.client.lrange(f"{broker.namespace}:default", 0, -1) == [near.encode()]


def test_delayed_messages_of_a_dead_worker_are_not_held_by_it(broker: ServiceBroker) -> None:
    broker.enqueue(make_message(), delay=60_000)
    next(make_consumer(broker, "default.DQ"))

    assert broker.client.keys(f"{broker.namespace}:__acks__*") == []


def test_a_message_with_a_time_in_the_wrong_queue_waits_too(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.enqueue(make_message(eta=current_millis() + 60_000))
    assert consumer._fetch(1) == []
    broker.acks.flush(timeout=5)

    assert stored(broker) == 0
    assert stored(broker, "default.DQ") == 1


def test_a_message_that_is_delayed_for_ever_holds_up_no_other(
    own_broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("project.broker.delays.MESSAGE_WAIT", timedelta(milliseconds=20))
    delays = make_consumer(own_broker, "default.DQ")
    own_broker.enqueue(make_message(), delay=10**17)

    assert next(delays) is None
    own_broker.enqueue(make_message(), delay=0)
    next(delays)
    assert stored(own_broker) == 1

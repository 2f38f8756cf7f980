"""Sending through the broker: what is stored, what is kept apart, what is sent twice."""

import pytest

from project.broker.broker import ServiceBroker
from tests.brokers import make_message


@pytest.fixture
def broker(own_broker: ServiceBroker) -> ServiceBroker:
    return own_broker


def test_a_sent_message_is_stored_under_the_keys_of_dramatiq(broker: ServiceBroker) -> None:
    message = broker.enqueue(make_message())

    redis_id = message.options["redis_message_id"]
    assert broker.client.lrange(f"{broker.namespace}:default", 0, -1) == [redis_id.encode()]
    assert broker.client.hget(f"{broker.namespace}:default.msgs", redis_id) == message.encode()


def test_a_second_send_of_the_same_attempt_is_not_queued_twice(broker: ServiceBroker) -> None:
    message = make_message()
    attempt = message.copy(options={"redis_message_id": f"{message.message_id}:1"})

    broker.enqueue(attempt)
    broker.enqueue(attempt)

    assert broker.client.llen(f"{broker.namespace}:default") == 1


def test_the_id_of_another_delivery_is_not_kept(broker: ServiceBroker) -> None:
    first = broker.enqueue(make_message())

    second = broker.enqueue(first)

    assert second.options["redis_message_id"] != first.options["redis_message_id"]


def test_many_messages_go_to_their_queues_in_order(broker: ServiceBroker) -> None:
    messages = [make_message(queue) for _ in range(600) for queue in ("default", "mail")]

    sent = broker.enqueue_many(messages)

    for queue in ("default", "mail"):
        expected = [m.options["redis_message_id"].encode() for m in sent if m.queue_name == queue]
        assert broker.client.lrange(f"{broker.namespace}:{queue}", 0, -1) == expected


def test_the_broker_tells_which_messages_it_still_holds(broker: ServiceBroker) -> None:
    sent = broker.enqueue(make_message()).options["redis_message_id"]

    assert broker.missing("default", [sent, "unknown"]) == ["unknown"]

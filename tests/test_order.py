"""In which order messages wait after they were sent or given back."""

import pytest
from dramatiq import Message

from project.broker.broker import ServiceBroker
from project.values.ids import uuid7
from tests.brokers import waiting


@pytest.fixture
def broker(own_broker: ServiceBroker) -> ServiceBroker:
    own_broker.lua.load()
    return own_broker


def send(broker: ServiceBroker, count: int, *, durable: bool = False, priority: int = 0) -> list[str]:
    messages: list[Message[None]] = []
    for _ in range(count):
        run_id = str(uuid7())
        options = {"redis_message_id": f"{run_id}:0"} if durable else {}
        messages.append(Message("default", "nothing", (), {}, {**options, "priority": priority}, message_id=run_id))
    return [sent.options["redis_message_id"] for sent in broker.enqueue_many(messages)]


@pytest.mark.parametrize("durable", [True, False])
def test_what_a_dead_broker_held_goes_to_the_front_in_its_old_order(broker: ServiceBroker, durable: bool) -> None:
    ids = send(broker, 100, durable=durable)
    broker.run_script("fetch", broker.broker_id, "default", 40)
    broker.client.lmove(
        f"{broker.namespace}:default", f"{broker.namespace}:__inbox__.{broker.broker_id}.default", "LEFT", "RIGHT"
    )
    ((_, beat),) = broker.client.zrange(f"{broker.namespace}:__heartbeats__", 0, -1, withscores=True)

    assert broker.run_script("rescue", broker.broker_id, int(beat), "default") == 41

    assert waiting(broker) == ids


def test_those_that_overtake_a_queue_together_stay_in_order(broker: ServiceBroker) -> None:
    ordinary = send(broker, 2)
    urgent = send(broker, 3, priority=-1)
    assert waiting(broker) == [*urgent, *ordinary]

"""A broker is dead only if it is certain, and only then are its messages given back."""

import pytest

from project.broker.broker import ServiceBroker
from project.broker.consumer import QueueConsumer
from project.broker.orphans import Sightings
from tests.brokers import held, make_message, take
from tests.eventually import eventually


@pytest.fixture
def broker(own_broker: ServiceBroker) -> ServiceBroker:
    return own_broker


def test_a_broker_whose_heartbeat_changes_is_alive(broker: ServiceBroker) -> None:
    sightings = Sightings()
    for second in range(20):
        sightings.note([(b"alive", float(second)), (b"silent", 1.0)], now=second)

    assert sightings.silent(now=19) == [(b"silent", 1.0)]


def test_silence_while_redis_was_away_does_not_count() -> None:
    sightings = Sightings()
    sightings.note([(b"anyone", 1.0)], now=0)
    sightings.note([(b"anyone", 1.0)], now=13)

    assert sightings.silent(now=13) == []


def test_a_broker_that_beat_again_keeps_its_messages(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.enqueue(make_message())
    take(consumer)
    heartbeats = f"{broker.namespace}:__heartbeats__"
    score = int(broker.client.zscore(heartbeats, broker.broker_id))
    eventually(lambda: beat_again(broker) > score, every=0.001)  # the clock of the heartbeats has milliseconds

    assert broker.run_script("rescue", broker.broker_id, score, "default") == -1
    assert held(broker) == 1


def beat_again(broker: ServiceBroker) -> int:
    """Send a heartbeat and return its time."""
    broker.run_script("beat", broker.broker_id)
    return int(broker.client.zscore(f"{broker.namespace}:__heartbeats__", broker.broker_id))

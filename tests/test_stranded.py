"""A message that is stored can be delivered: what is in no list goes back into its queue, and nothing twice."""

import pytest
from dramatiq import Message

from project.broker import stranded
from project.broker.broker import ServiceBroker
from tests.brokers import make_broker


@pytest.fixture
def broker(own_broker: ServiceBroker) -> ServiceBroker:
    return own_broker


def send(broker: ServiceBroker, count: int) -> list[bytes]:
    messages: list[Message[None]] = [
        Message(queue_name="default", actor_name="nothing", args=(), kwargs={}, options={}) for _ in range(count)
    ]
    return [sent.options["redis_message_id"].encode() for sent in broker.enqueue_many(messages)]


def key(broker: ServiceBroker, name: str = "default") -> str:
    return f"{broker.namespace}:{name}"


def waiting(broker: ServiceBroker) -> list[bytes]:
    ids: list[bytes] = broker.client.lrange(key(broker), 0, -1)
    return ids


def test_messages_in_no_list_go_to_the_front_in_their_old_order(broker: ServiceBroker) -> None:
    lost = send(broker, 50)
    broker.client.delete(key(broker))
    later = send(broker, 3)
    assert broker.put_back_stranded() == 50
    assert waiting(broker) == [*lost, *later]
    assert broker.put_back_stranded() == 0


def test_what_workers_hold_is_not_put_back(broker: ServiceBroker) -> None:
    other = make_broker(broker.namespace)
    ids = send(broker, 6)
    broker.lua.load()
    assert broker.run_script("fetch", broker.broker_id, "default", 2)
    assert other.run_script("fetch", other.broker_id, "default", 1)
    inbox = key(broker, f"__inbox__.{broker.broker_id}.default")
    broker.client.lmove(key(broker), inbox, "LEFT", "RIGHT")
    assert broker.put_back_stranded() == 0

    broker.client.delete(key(broker))
    assert broker.put_back_stranded() == 2
    assert waiting(broker) == ids[4:]


def test_what_a_worker_held_whose_set_was_deleted_is_put_back(broker: ServiceBroker) -> None:
    (held,) = send(broker, 1)
    broker.run_script("fetch", broker.broker_id, "default", 1)
    broker.client.delete(key(broker, f"__acks__.{broker.broker_id}.default"))
    assert broker.put_back_stranded() == 1
    assert waiting(broker) == [held]


def test_a_delayed_message_waits_for_its_time_and_is_not_put_back(broker: ServiceBroker) -> None:
    broker.client.hset(key(broker, "default.DQ.msgs"), "parked", "{}")
    broker.client.zadd(key(broker, "default.DQ.etas"), {"parked": 1})
    assert broker.put_back_stranded() == 0


def test_what_the_list_has_twice_or_without_a_payload_is_dropped(broker: ServiceBroker) -> None:
    ids = send(broker, 3)
    broker.client.rpush(key(broker), ids[1], b"no payload")
    broker.put_back_stranded()
    assert waiting(broker) == ids


def test_a_list_too_long_to_look_through_has_to_shrink_first(
    broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stranded, "LONGEST_LIST", 10)
    (lost,) = send(broker, 1)
    broker.client.delete(key(broker))
    send(broker, 11)
    assert broker.put_back_stranded() == 0
    broker.client.hdel(key(broker, "default.msgs"), broker.client.lpop(key(broker)))
    assert broker.put_back_stranded() == 1
    assert waiting(broker)[0] == lost


def test_more_than_one_look_covers_is_put_back(broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stranded, "_LOOKED_AT_TOGETHER", 100)
    lost = send(broker, 2000)
    broker.client.delete(key(broker))
    assert broker.put_back_stranded() == 2000
    assert sorted(waiting(broker)) == lost

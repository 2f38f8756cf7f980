"""A worker that stops takes nothing more, tells Redis the last acks, and signs off."""

import signal

import pytest
from dramatiq import Actor
from dramatiq.worker import Worker
from structlog.testing import capture_logs

from project.broker.broker import ServiceBroker
from tests.brokers import held, make_consumer, make_message, stored, take
from tests.eventually import eventually


@pytest.fixture
def broker(own_broker: ServiceBroker) -> ServiceBroker:
    return own_broker


def heartbeats(broker: ServiceBroker) -> list[bytes]:
    ids: list[bytes] = broker.client.zrange(f"{broker.namespace}:__heartbeats__", 0, -1)
    return ids


def test_each_worker_that_boots_gets_a_work_queue_of_its_own_size(broker: ServiceBroker) -> None:
    broker.emit_before("worker_boot", Worker(broker, worker_threads=3))
    first = broker.work
    broker.emit_before("worker_boot", Worker(broker, worker_threads=5))

    assert (first.threads, broker.work.threads) == (3, 5)


def test_the_first_signal_stops_fetching_at_once(broker: ServiceBroker) -> None:
    received: list[int] = []
    previous = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    for each in previous:
        signal.signal(each, lambda number, _frame: received.append(number))
    try:
        broker.emit_before("worker_boot", Worker(broker, worker_threads=1))
        signal.raise_signal(signal.SIGTERM)
        assert broker.work.closed
        assert received == [signal.SIGTERM]
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def test_a_broker_that_stopped_is_not_taken_for_dead(broker: ServiceBroker) -> None:
    done: list[bool] = []
    Actor(lambda: done.append(True), broker=broker, actor_name="nothing", queue_name="default", priority=0, options={})
    worker = Worker(broker, worker_threads=1, worker_timeout=20)
    worker.start()
    broker.enqueue(make_message())
    eventually(lambda: done)
    assert heartbeats(broker) == [broker.broker_id.encode()]
    worker.stop()

    assert stored(broker) == held(broker) == 0
    assert heartbeats(broker) == []


def test_a_broker_that_holds_messages_does_not_sign_off(broker: ServiceBroker) -> None:
    worker = Worker(broker, worker_threads=1)
    broker.enqueue(make_message())
    consumer = make_consumer(broker)
    take(consumer)
    worker.consumers["default"] = None  # type: ignore[assignment]  # only its name is asked for

    broker.emit_after("worker_shutdown", worker)

    assert heartbeats(broker) == [broker.broker_id.encode()]


def test_a_server_that_is_away_at_the_end_is_reported_and_holds_nobody_up(namespace: str) -> None:
    broker = ServiceBroker(url="redis://127.0.0.1:1", namespace=namespace, middleware=[])
    with capture_logs() as lines:
        broker.emit_after("worker_shutdown", Worker(broker, worker_threads=1))

    assert [line["event"] for line in lines] == ["broker_not_signed_off"]

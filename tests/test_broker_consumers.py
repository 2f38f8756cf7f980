"""What the broker's consumers take, hold and give back, against a real Valkey."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from dramatiq.broker import MessageProxy
from dramatiq.worker import ConsumerThread, Worker

from project.broker import consumer as consumers
from project.broker.broker import ServiceBroker
from project.broker.consumer import QueueConsumer
from project.broker.dramatiq_internals import WorkQueueItem as Item
from project.embedded.valkey import valkey
from tests.brokers import evaluations, held, make_broker, make_consumer, make_message, take
from tests.eventually import eventually


@pytest.fixture
def broker(own_broker: ServiceBroker) -> ServiceBroker:
    return own_broker


def test_messages_given_back_are_first_again(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.work.threads = 2
    sent = broker.enqueue_many([make_message() for _ in range(3)])
    consumer.requeue([take(consumer), take(consumer)])

    ids = [message.options["redis_message_id"].encode() for message in sent]
    assert broker.client.lrange(f"{broker.namespace}:default", 0, -1) == ids


def test_closing_gives_back_what_was_not_handed_out(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.work.threads = 3
    broker.enqueue_many([make_message() for _ in range(3)])
    take(consumer)

    consumer.close()

    assert held(broker) == 1


def test_a_stopping_worker_hands_back_what_no_thread_started(broker: ServiceBroker) -> None:
    worker = Worker(broker, worker_threads=1)
    broker.emit_before("worker_boot", worker)
    consumer = make_consumer(broker)
    thread = ConsumerThread(
        broker=broker, queue_name="default", prefetch=1, work_queue=worker.work_queue, worker_timeout=100
    )
    thread.consumer, worker.consumers["default"] = consumer, thread
    broker.enqueue_many([make_message() for _ in range(2)])
    broker.work.threads = 2
    for _ in range(2):
        worker.work_queue.put(Item(0, take(consumer)))
    worker.work_queue.get()

    broker.emit_before("worker_shutdown", worker)

    assert broker.client.llen(f"{broker.namespace}:default") == 1
    assert held(broker) == 1


def test_a_lost_fetch_is_found_again(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.enqueue(make_message())
    broker.run_script("fetch", broker.broker_id, "default", 1)  # its reply never reached the consumer

    assert take(consumer)


def test_a_running_message_is_not_given_back_after_a_lost_connection(broker: ServiceBroker) -> None:
    broker.enqueue(make_message())
    consumer = make_consumer(broker)
    broker.work.put(Item(0, take(consumer)))
    broker.work.get_nowait()

    assert next(make_consumer(broker)) is None
    assert held(broker) == 1


@pytest.fixture
def quiet_valkey(server_directory: Path) -> Iterator[str]:
    """The address of a Valkey that nobody else uses, so that its commands can be counted."""
    server = valkey(server_directory / "valkey", durable=False)
    server.start()
    server.wait_until_ready()
    yield server.url
    server.stop()


def test_a_waiting_message_wakes_one_worker_only(
    namespace: str, quiet_valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "MESSAGE_WAIT", timedelta(seconds=30))
    brokers = [make_broker(namespace, url=quiet_valkey) for _ in range(10)]
    for broker in brokers:
        broker.client.connection_pool.connection_kwargs["socket_timeout"] = 60.0
    found: list[MessageProxy] = []

    def wait(consumer: QueueConsumer) -> None:
        if message := next(consumer):
            found.append(message)

    threads = [threading.Thread(target=wait, args=[make_consumer(broker)]) for broker in brokers]
    for thread in threads:
        thread.start()
    eventually(lambda: blocked(brokers[0]) == 10)
    before = evaluations(brokers[0])
    brokers[0].enqueue(make_message())
    eventually(lambda: found)

    assert evaluations(brokers[0]) - before <= 3
    assert blocked(brokers[0]) == 9
    brokers[0].enqueue_many([make_message() for _ in range(9)])
    for thread in threads:
        thread.join()


def blocked(broker: ServiceBroker) -> int:
    """Return how many consumers wait for a message."""
    return int(broker.client.info("clients")["blocked_clients"])


def test_a_message_that_wakes_a_full_worker_goes_on_to_another(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    sent = broker.enqueue(make_message())
    consumer._wait_for_message(wait=timedelta(seconds=1), count=1)
    broker.work.closed = True

    assert next(consumer) is None
    ids = broker.client.lrange(f"{broker.namespace}:default", 0, -1)
    assert ids == [sent.options["redis_message_id"].encode()]

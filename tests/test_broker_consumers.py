"""What the broker's consumers take, hold, give back and move, against a real Valkey."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.common import current_millis
from dramatiq.worker import ConsumerThread, Worker

from project.broker import orphans as janitor
from project.broker.acks import LARGEST_BATCH
from project.broker.broker import ServiceBroker
from project.broker.consumer import QueueConsumer
from project.broker.dramatiq_internals import WorkQueueItem as Item
from project.embedded.valkey import valkey
from tests.eventually import eventually


@pytest.fixture
def namespace() -> Iterator[str]:
    namespace = f"test-{uuid4()}"
    yield namespace
    broker = make_broker(namespace)
    for key in broker.client.scan_iter(f"{namespace}:*"):
        broker.client.delete(key)


@pytest.fixture
def broker(namespace: str) -> ServiceBroker:
    return make_broker(namespace)


@pytest.fixture
def consumer(broker: ServiceBroker) -> QueueConsumer:
    return make_consumer(broker)


def make_broker(namespace: str, *, url: str = "") -> ServiceBroker:
    broker = ServiceBroker(url=url or os.environ["REDIS_URL"], namespace=namespace, middleware=[])
    broker.declare_queue("default")
    return broker


def make_consumer(broker: ServiceBroker, queue: str = "default") -> QueueConsumer:
    consumer = broker.consume(queue)
    assert isinstance(consumer, QueueConsumer)
    return consumer


def make_message(**options: object) -> Message[None]:
    return Message(queue_name="default", actor_name="nothing", args=(), kwargs={}, options=options)


def take(consumer: QueueConsumer) -> MessageProxy:
    message = next(consumer)
    assert message is not None
    return message


def held(broker: ServiceBroker) -> int:
    return int(broker.client.scard(f"{broker.namespace}:__acks__.{broker.broker_id}.default"))


def stored(broker: ServiceBroker, queue: str = "default") -> int:
    return int(broker.client.hlen(f"{broker.namespace}:{queue}.msgs"))


def test_an_ack_reaches_redis_by_itself(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.enqueue(make_message())
    consumer.ack(take(consumer))

    eventually(lambda: stored(broker) == held(broker) == 0)


def test_many_acks_travel_together(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.work.threads = LARGEST_BATCH
    broker.enqueue_many([make_message() for _ in range(LARGEST_BATCH)])
    messages = [take(consumer) for _ in range(LARGEST_BATCH)]
    before = evaluations(broker)
    for message in messages:
        consumer.ack(message)
    assert broker.acks.flush(timeout=5)

    assert stored(broker) == 0
    assert evaluations(broker) - before <= LARGEST_BATCH / 10


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


def test_a_waiting_message_wakes_one_worker_only(namespace: str, quiet_valkey: str) -> None:
    brokers = [make_broker(namespace, url=quiet_valkey) for _ in range(10)]
    found: list[MessageProxy] = []

    def wait(consumer: QueueConsumer) -> None:
        if message := next(consumer):
            found.append(message)

    threads = [threading.Thread(target=wait, args=[make_consumer(broker)]) for broker in brokers]
    for thread in threads:
        thread.start()
    eventually(lambda: brokers[0].client.info("clients")["blocked_clients"] >= 10)
    before = evaluations(brokers[0])
    brokers[0].enqueue(make_message())
    eventually(lambda: found, timeout=0.5)

    assert evaluations(brokers[0]) - before <= 3
    assert brokers[0].client.info("clients")["blocked_clients"] >= 9
    for thread in threads:
        thread.join()


def test_a_message_that_wakes_a_full_worker_goes_on_to_another(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    sent = broker.enqueue(make_message())
    consumer._wait_for_message()
    broker.work.closed = True

    assert next(consumer) is None
    ids = broker.client.lrange(f"{broker.namespace}:default", 0, -1)
    assert ids == [sent.options["redis_message_id"].encode()]


def test_a_retry_replaces_the_failed_attempt_in_one_step(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.enqueue(make_message())
    delivery = take(consumer)
    broker.enqueue(delivery, delay=10_000)
    assert stored(broker, "default.DQ") == 0

    consumer.ack(delivery)
    broker.acks.flush(timeout=5)

    assert stored(broker) == held(broker) == 0
    assert stored(broker, "default.DQ") == 1


def test_a_delayed_message_runs_when_it_is_due_and_not_before(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    delays = make_consumer(broker, "default.DQ")
    due = current_millis() + 300
    broker.enqueue(make_message(), delay=300)
    consuming = threading.Thread(target=lambda: [next(delays) for _ in range(3)])
    consuming.start()
    eventually(lambda: stored(broker), every=0.005)

    assert 0 <= current_millis() - due < 250
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


def test_a_heartbeat_that_changes_is_no_death(broker: ServiceBroker) -> None:
    sightings = janitor.Sightings()
    for second in range(20):
        sightings.note([(b"alive", float(second)), (b"silent", 1.0)], now=second)

    assert sightings.silent(now=19) == [(b"silent", 1.0)]


def test_silence_while_redis_was_away_is_no_death() -> None:
    sightings = janitor.Sightings()
    sightings.note([(b"anyone", 1.0)], now=0)
    sightings.note([(b"anyone", 1.0)], now=13)

    assert sightings.silent(now=13) == []


def test_a_broker_that_beat_again_is_not_robbed(broker: ServiceBroker, consumer: QueueConsumer) -> None:
    broker.enqueue(make_message())
    take(consumer)
    heartbeats = f"{broker.namespace}:__heartbeats__"
    score = int(broker.client.zscore(heartbeats, broker.broker_id))
    time.sleep(0.002)  # the clock of the heartbeats has milliseconds
    broker.run_script("beat", broker.broker_id)

    assert broker.run_script("rescue", broker.broker_id, score, "default") == -1
    assert held(broker) == 1


def evaluations(broker: ServiceBroker) -> int:
    stats = broker.client.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])

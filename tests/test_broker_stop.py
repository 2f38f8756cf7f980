"""A worker that stops leaves at once what it only waits for."""

from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from tests.eventually import eventually


def blocked_clients(broker: ServiceBroker) -> set[str]:
    return {client["id"] for client in broker.client.client_list() if client["cmd"] == "blmove"}


def test_a_worker_that_stops_waits_for_no_message(own_broker: ServiceBroker) -> None:
    own_broker.declare_queue("default")
    before = blocked_clients(own_broker)
    worker = Worker(own_broker, worker_timeout=50, worker_threads=1)
    worker.start()
    waiting = eventually(lambda: blocked_clients(own_broker) - before)
    own_broker.emit_before("worker_shutdown", worker)
    # Redis would let it wait for a second each time.
    assert eventually(lambda: not waiting & blocked_clients(own_broker), timeout=0.5)
    worker.stop()

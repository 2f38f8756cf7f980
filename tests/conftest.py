"""What tests share: a clean broker, and a worker that runs in the test's own process."""

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone
from dramatiq.broker import get_broker
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks.models import Worker as WorkerRow
from project.tasks.running.this_worker import this_worker
from scheduler.clock import Clock
from scheduler.models import Schedule
from tests import tasks_for_tests
from tests.brokers import consumer, namespace, own_broker

__all__ = ["consumer", "namespace", "own_broker"]

LONG_AGO = timezone.now() - timedelta(hours=1)


@pytest.fixture
def broker() -> Iterator[ServiceBroker]:
    """The service's broker, empty before and after."""
    broker = get_broker()
    assert isinstance(broker, ServiceBroker)
    broker.client.flushdb()
    yield broker
    broker.client.flushdb()


@pytest.fixture(autouse=True)
def notes() -> list[str]:
    """What the tasks of `tests.tasks_for_tests` note, empty at first; those that wait at the gate wait."""
    tasks_for_tests.notes.clear()
    tasks_for_tests.gate.clear()
    return tasks_for_tests.notes


@pytest.fixture
def listener(db: None, monkeypatch: pytest.MonkeyPatch) -> WorkerRow:
    """Let this process be one that has listened for long enough to presume others dead."""
    listener = WorkerRow.objects.create(kind="worker", hostname="listener", pid=os.getpid(), listening_since=LONG_AGO)
    monkeypatch.setattr(this_worker, "id", listener.id)
    return listener


@pytest.fixture
def no_schedules(db: None) -> None:
    """Start without the schedules that code declares."""
    Schedule.objects.all().delete()


@pytest.fixture
def clock() -> Clock:
    """The clock of one scheduler process."""
    return Clock(sender="test:1")


@pytest.fixture
def worker(transactional_db: None, broker: ServiceBroker) -> Iterator[Worker]:
    """A worker of two threads on the service's broker; it sees only what was committed."""
    worker = Worker(broker, worker_timeout=100, worker_threads=2)
    worker.start()
    yield worker
    tasks_for_tests.gate.set()
    worker.stop(timeout=10_000)
    connections.close_all()

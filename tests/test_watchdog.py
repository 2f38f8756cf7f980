"""A worker process one of whose threads has died ends, and no other does."""

import signal
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from dramatiq.worker import Worker

from project.broker import watchdog
from project.broker.broker import ServiceBroker
from project.broker.watchdog import Watchdog
from tests.eventually import eventually


@pytest.fixture
def hangups(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The SIGHUPs that this process gets; they stop it as they stop Dramatiq's worker process."""
    received: list[int] = []
    previous = signal.signal(signal.SIGHUP, lambda number, _frame: received.append(number))
    monkeypatch.setattr(watchdog, "LOOK_EVERY", timedelta(milliseconds=5))
    yield received
    signal.signal(signal.SIGHUP, previous)


@pytest.fixture
def worker(own_broker: ServiceBroker) -> Iterator[Worker]:
    """One whose only thread runs until the test ends or stops it."""
    worker = Worker(own_broker, worker_timeout=10, worker_threads=1)
    worker._add_worker()
    yield worker
    end_thread_of(worker)


def end_thread_of(worker: Worker) -> None:
    worker.workers[0].stop()
    worker.workers[0].join()


def watching() -> bool:
    return any(thread.name == "watchdog" for thread in threading.enumerate())


def test_a_process_whose_thread_died_is_told_to_stop_and_fails(
    own_broker: ServiceBroker, worker: Worker, hangups: list[int]
) -> None:
    dog = Watchdog()
    dog.after_worker_boot(own_broker, worker)
    end_thread_of(worker)

    eventually(lambda: hangups == [signal.SIGHUP])
    dog.before_worker_shutdown(own_broker, worker)
    with pytest.raises(SystemExit) as end:
        dog.after_worker_shutdown(own_broker, worker)
    assert end.value.code == 1


def test_threads_that_end_because_the_worker_stops_are_not_a_failure(
    own_broker: ServiceBroker, worker: Worker, hangups: list[int]
) -> None:
    dog = Watchdog()
    dog.after_worker_boot(own_broker, worker)
    dog.before_worker_shutdown(own_broker, worker)
    eventually(lambda: not watching())
    end_thread_of(worker)

    dog.after_worker_shutdown(own_broker, worker)
    assert hangups == []


def test_a_process_that_a_hangup_would_kill_is_not_watched(own_broker: ServiceBroker, worker: Worker) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        Watchdog().after_worker_boot(own_broker, worker)
        assert not watching()
    finally:
        signal.signal(signal.SIGHUP, previous)

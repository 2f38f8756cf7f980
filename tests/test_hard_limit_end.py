"""The end of a process in which a task does not end: who is told, in which order, and that it always comes."""

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.tasks.models import TaskRun, Worker
from project.tasks.running import hard_limit
from project.tasks.running.hard_limit import HardLimit, end_process
from project.tasks.running.interrupts import interrupts
from project.tasks.running.this_worker import this_worker
from tests.eventually import eventually
from tests.runs import a_run

#: Long past its limit and its grace, as seen from the thread that looks; its own thread is interrupted before that.
LONG_OVER = timedelta(days=-1)


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """With which codes the process would have ended."""
    codes: list[int] = []

    def note(code: int) -> NoReturn:
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", note)
    return codes


@pytest.fixture
def stuck() -> Iterator[list[str]]:
    """One run that does not end; what its record was told."""
    told: list[str] = []
    with interrupts.allowed("stuck", time_limit=LONG_OVER, give_up=lambda: told.append("given up")) as running:
        running.interrupted = True  # once: it did not help
        yield told


@pytest.fixture
def signals() -> Iterator[list[int]]:
    """The signals by which this process was told to drain."""
    received: list[int] = []
    previous = signal.signal(signal.SIGHUP, lambda number, _frame: received.append(number))
    yield received
    signal.signal(signal.SIGHUP, previous)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look all the time."""
    monkeypatch.setattr(hard_limit, "_LOOK_EVERY", timedelta(milliseconds=5))


@pytest.fixture
def this_process(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """This process, which has signed on."""
    worker = Worker.objects.create(kind="worker", hostname="host", pid=os.getpid())
    monkeypatch.setattr(this_worker, "id", worker.id)
    return worker


def test_what_does_not_end_is_given_up_and_the_others_are_released(
    this_process: Worker, broker: ServiceBroker, codes: list[int], stuck: list[str]
) -> None:
    other = a_run("running", worker_id=this_process.id)
    with pytest.raises(SystemExit):
        end_process(broker)
    other.refresh_from_db()
    assert (stuck, codes) == (["given up"], [1])
    assert (other.state, other.deaths) == (TaskRun.State.RETRYING, 0)
    assert other.run_after > other.created_at


def test_a_process_ends_though_nothing_can_be_recorded(
    broker: ServiceBroker, codes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> NoReturn:
        raise RuntimeError("no record")

    with interrupts.allowed("stuck", time_limit=LONG_OVER, give_up=fail) as running:
        running.interrupted = True
        with pytest.raises(SystemExit):
            end_process(broker)
    assert codes == [1]
    assert "process_ends_untidily" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the end of the process
@pytest.mark.usefixtures("this_process", "quick")
def test_a_process_asks_once_to_be_drained_and_ends_when_only_what_does_not_end_is_left(
    own_broker: ServiceBroker, stuck: list[str], signals: list[int], codes: list[int]
) -> None:
    HardLimit().after_worker_boot(own_broker, DramatiqWorker(own_broker))
    eventually(lambda: signals)
    assert (codes, stuck) == ([], [])
    own_broker.work.closed = True
    eventually(lambda: codes)
    assert (signals, codes, stuck) == ([signal.SIGHUP], [1], ["given up"])


def test_where_sighup_would_end_somebodys_shell_nothing_is_watched(
    broker: ServiceBroker, stuck: list[str], codes: list[int]
) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        limit: Any = HardLimit()
        limit.after_worker_boot(broker, DramatiqWorker(broker))
        limit.after_worker_shutdown(broker, DramatiqWorker(broker))
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert (codes, stuck) == ([], [])


@pytest.mark.usefixtures("signals", "stuck")
def test_a_shutdown_ends_the_process_if_a_run_in_it_does_not_end(
    this_process: Worker, broker: ServiceBroker, codes: list[int]
) -> None:
    limit, worker = HardLimit(), DramatiqWorker(broker)
    limit.after_worker_boot(broker, worker)
    with pytest.raises(SystemExit):
        limit.after_worker_shutdown(broker, worker)
    assert codes == [1]
    assert not Worker.objects.filter(id=this_process.id).exists()


@pytest.mark.usefixtures("signals")
def test_a_shutdown_leaves_a_process_alone_whose_runs_all_end(broker: ServiceBroker, codes: list[int]) -> None:
    limit, worker = HardLimit(), DramatiqWorker(broker)
    limit.after_worker_boot(broker, worker)
    limit.after_worker_shutdown(broker, worker)
    assert codes == []

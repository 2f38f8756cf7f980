"""One process of a pool, as its supervisor sees it."""

import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from project.pool import child as module
from project.pool.child import HEALTHY_AFTER, Child
from project.pool.protocol import FreeRunsOf, LastChancesWait, Names
from tests.children import READY, command, ended_afterwards
from tests.clocks import Clock

FAILS = ["/bin/sh", "-c", "exit 1"]
Start = Callable[..., Child]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a process, which ends with the test at the latest."""
    children: list[Child] = []

    def start(command: list[str]) -> Child:
        children.append(Child(command, output=2))
        children[-1].start()
        return children[-1]

    with ended_afterwards(lambda: children):
        yield start


def pause_before_restart(child: Child, clock: Clock) -> float:
    """Wait until a process has ended, start it again as soon as that is allowed, and return how long that took."""
    child._process.wait()
    died = clock.now
    while not child.start_if_due():
        clock.now += 0.25
    return clock.now - died


def works(child: Child) -> None:
    """Wait until a process says that it is ready."""
    while not child.is_ready:
        child.listen(timeout=1)


def test_a_process_that_keeps_failing_is_started_after_longer_and_longer_pauses(start: Start, clock: Clock) -> None:
    child = start(FAILS)
    assert [pause_before_restart(child, clock) for _ in range(9)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_process_that_has_failed_for_days_is_still_started_again(start: Start, clock: Clock) -> None:
    child = start(FAILS)
    child._deaths = 5000
    assert pause_before_restart(child, clock) == 30


@pytest.mark.parametrize(("worked", "pause"), [(0.5, 2), (1.5, 0)])
def test_only_a_process_that_worked_for_a_while_has_its_failures_forgotten(
    start: Start, clock: Clock, worked: float, pause: float
) -> None:
    child = start(command(READY, "stay()"))
    child._deaths = 3
    works(child)
    clock.now += HEALTHY_AFTER.total_seconds() * worked
    child.send(signal.SIGKILL)
    assert pause_before_restart(child, clock) == pause


def test_a_drained_process_is_replaced_at_once_and_that_is_no_failure(
    start: Start, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    child = start(command(READY, "stay()"))
    child._deaths = 3
    works(child)
    child.drain()
    assert pause_before_restart(child, clock) == 0
    assert child._deaths == 0
    assert "process_died" not in caplog.text


def test_a_process_that_fails_while_it_drains_counts_as_failed(
    start: Start, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    child = start(command("signal.signal(signal.SIGHUP, lambda *_: sys.exit(4))", READY, "stay()"))
    child._deaths = 1
    works(child)
    child.drain()
    assert pause_before_restart(child, clock) == 0.5
    (died,) = [record for record in caplog.records if record.getMessage() == "process_died"]
    assert vars(died)["exit_code"] == 4


def test_what_is_started_again_is_not_ready_because_the_one_before_was(start: Start, clock: Clock) -> None:
    child = start(command(READY, "say('replace me')", "stay()"))
    works(child)
    while not child.wants_replacement:
        child.listen(timeout=1)
    child.drain()
    pause_before_restart(child, clock)
    assert (child.is_ready, child.names, child.wants_replacement) == (False, None, False)


def test_what_a_process_says_right_before_its_end_is_heard(start: Start) -> None:
    child = start(command("say('last chances')"))
    child._process.wait()
    assert child.listen(timeout=1) == [LastChancesWait()]


def test_a_process_that_hangs_up_and_lives_on_does_not_keep_its_supervisor_busy(start: Start) -> None:
    child = start(command("os.close(0)", "signal.pause()"))
    assert select.select([child._socket], [], [], 10)[0]
    before = time.process_time(), time.monotonic()
    assert child.listen(timeout=0.1) == []
    assert time.monotonic() - before[1] >= 0.1
    assert time.process_time() - before[0] < 0.1


def test_a_process_that_is_stopped_does_not_hold_up_a_supervisor_that_tells_it_something(start: Start) -> None:
    child = start(command("signal.pause()"))
    message = FreeRunsOf(Names(uuid4(), "broker"))

    def tell() -> None:
        for _ in range(5000):
            child.tell(message)

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    telling.join(10)
    assert not telling.is_alive()


def test_a_process_that_has_ended_may_still_be_told_and_drained(start: Start) -> None:
    child = start(FAILS)
    child._process.wait()
    child.tell(FreeRunsOf(Names(uuid4(), "broker")))
    child.drain()
    assert child.poll() == 1

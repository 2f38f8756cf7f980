"""The processes for what is on its last chance: when one is started, how many there are, and who of them has died."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from project.pool import last_chance_children as module
from project.pool.last_chance_children import TIME_TO_TAKE, LastChanceChildren
from tests.children import READY, command, ended_afterwards


@dataclass
class Clock:
    """A clock that a test sets, in the place of the module `time`."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def let_pass(self) -> None:
        """Let so much time pass that what waits still is not waiting for the process that was started last."""
        self.now += TIME_TO_TAKE.total_seconds()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def processes(clock: Clock) -> Iterator[LastChanceChildren]:
    """At most two processes."""
    processes = LastChanceChildren(command(READY, "stay()"), output=2, most=2)
    with ended_afterwards(lambda: processes.living):
        yield processes


def end(processes: LastChanceChildren, number: signal.Signals) -> object:
    """End the first process once it works; return its names."""
    child = processes.living[0]
    while not child.is_ready:
        child.listen(timeout=1)
    os.kill(child.pid, number)
    child._process.wait()
    return child.names


def test_what_waits_and_is_reported_again_and_again_gets_one_process_at_first(processes: LastChanceChildren) -> None:
    processes.start_another()
    processes.start_another()
    assert len(processes.living) == 1


def test_what_still_waits_after_a_while_gets_another_process_up_to_the_most(
    processes: LastChanceChildren, clock: Clock
) -> None:
    for _ in range(4):
        processes.start_another()
        clock.let_pass()
    assert len(processes.living) == 2


def test_the_dead_are_named_once_and_what_waits_beside_them_is_tried_at_once(processes: LastChanceChildren) -> None:
    processes.start_another()
    dead = end(processes, signal.SIGKILL)
    assert processes.forget_ended() == [dead]
    assert processes.forget_ended() == []
    processes.start_another()
    assert len(processes.living) == 1


def test_one_that_ended_because_nothing_was_left_holds_nothing_and_is_not_started_again_at_once(
    processes: LastChanceChildren, clock: Clock
) -> None:
    processes.start_another()
    end(processes, signal.SIGHUP)
    assert processes.forget_ended() == []
    processes.start_another()
    assert processes.living == []
    clock.let_pass()
    processes.start_another()
    assert len(processes.living) == 1


def test_connections_of_those_that_have_ended_are_closed(processes: LastChanceChildren, clock: Clock) -> None:
    processes.start_another()
    (child,) = processes.living
    end(processes, signal.SIGKILL)
    processes.forget_ended()
    assert child._socket.fileno() == -1

"""How a pool ends, and with which exit code: the supervisor runs in the test's own process, and is signalled there."""

import signal
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from project.pool import supervisor
from project.pool.child import Child
from project.pool.last_chance_children import LastChanceChildren
from project.pool.supervisor import Pool
from tests.children import READY, command, ended_afterwards

#: A process that tells the supervisor to end as soon as it works.
STOP = "os.kill(os.getppid(), signal.SIGTERM)"
IGNORE = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
WAIT = "while True: signal.pause()"
Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Return a function that runs a pool of one process to its end and returns its exit code."""
    monkeypatch.setattr(supervisor, "ROUND", supervisor.ROUND / 20)
    monkeypatch.setattr(supervisor, "TIME_TO_END", timedelta(seconds=0.1))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    children: list[Child] = []

    def run(*does: str, shutdown_timeout: float = 10) -> int:
        children.append(Child(command(*does), output=2))
        none = LastChanceChildren([], output=2, most=0)
        pool = Pool(children, last_chances=none, shutdown_timeout=shutdown_timeout, fork=lambda _: children[0])
        return pool.run()

    with ended_afterwards(lambda: children):
        yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_pool_whose_processes_drain_ends_well(run: Run) -> None:
    assert run(READY, STOP, "stay()") == 0


def test_a_pool_ends_with_the_code_of_a_process_that_could_not_drain_well(run: Run) -> None:
    assert run("signal.signal(signal.SIGHUP, lambda *_: sys.exit(3))", READY, STOP, "stay()") == 3


def test_a_process_that_is_only_starting_may_die_of_the_signal(run: Run) -> None:
    assert run("signal.signal(signal.SIGHUP, signal.SIG_DFL)", STOP, WAIT) == 0


def test_a_process_that_dies_while_it_drains_is_a_failure(run: Run) -> None:
    assert run("signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), 9))", READY, STOP, WAIT) == 1


def test_a_process_that_does_not_drain_in_time_is_killed_and_named(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    assert run(IGNORE, READY, STOP, WAIT, shutdown_timeout=0) == 1
    (killed,) = [record for record in caplog.records if record.getMessage() == "process_killed"]
    assert vars(killed)["why"] == "it does not end"

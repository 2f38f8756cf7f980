"""The processes of the web server: started again when they die or hang, and drained before they are killed."""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator

import pytest

from project.web.server import processes as module
from project.web.server.processes import LONGEST_SILENCE_SECONDS, Processes, WebProcess
from tests.clocks import Clock

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

GoesOn = Callable[[], bool]
Work = Callable[[GoesOn], None]
Web = Callable[[Work], WebProcess]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def web() -> Iterator[Web]:
    """Return a function that makes a process, which ends with the test at the latest."""
    processes: list[WebProcess] = []

    def web(work: Work) -> WebProcess:
        processes.append(WebProcess(work))
        return processes[-1]

    yield web
    for process in processes:
        process.send(signal.SIGKILL)
        if process.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, 0)


@pytest.fixture
def signals_restored() -> Iterator[None]:
    """Let the signals mean after the test what they meant before."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    descriptor = signal.set_wakeup_fd(-1)
    yield
    signal.set_wakeup_fd(descriptor)
    for number, handler in before.items():
        signal.signal(number, handler)


def waits(goes_on: GoesOn) -> None:
    """Work until told to end."""
    while goes_on():
        select.select([], [], [], 0.01)


def fails(goes_on: GoesOn) -> None:
    raise RuntimeError("cannot serve")


def wait_for(process: WebProcess) -> int:
    """Wait until a process has ended, without its owner noticing, and return its exit code or signal."""
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_status


def test_a_process_that_fails_at_once_is_started_again_after_a_pause(web: Web, clock: Clock) -> None:
    process = web(fails)
    process.start()
    assert wait_for(process) == 1
    assert process.has_ended()
    process.start_if_due()
    assert process.has_ended()
    clock.now += module._PAUSE_SECONDS + 0.01
    process.start_if_due()
    assert process.pid


def test_a_process_that_shows_no_life_is_killed(web: Web, clock: Clock) -> None:
    process = web(lambda goes_on: signal.pause())
    process.start()
    clock.now += LONGEST_SILENCE_SECONDS
    process.kill_if_silent(late=0)
    assert not process.has_ended()
    clock.now += 1
    process.kill_if_silent(late=0)
    assert wait_for(process) == signal.SIGKILL


def test_no_process_is_killed_because_the_whole_machine_stood_still(web: Web, clock: Clock) -> None:
    process = web(lambda goes_on: signal.pause())
    process.start()
    clock.now += 3600
    process.kill_if_silent(late=3600 - 1)
    process.send(signal.SIGUSR1)
    assert wait_for(process) == signal.SIGUSR1


def test_a_process_shows_life_whenever_it_asks_whether_to_go_on(web: Web, clock: Clock) -> None:
    read, write = os.pipe()

    def asks(goes_on: GoesOn) -> None:
        clock.now += LONGEST_SILENCE_SECONDS  # its own copy of the clock
        goes_on()
        os.write(write, b"asked")
        signal.pause()

    process = web(asks)
    process.start()
    assert os.read(read, 5) == b"asked"
    clock.now += LONGEST_SILENCE_SECONDS + 1
    process.kill_if_silent(late=0)
    process.send(signal.SIGUSR1)
    assert wait_for(process) == signal.SIGUSR1


def run(*processes: WebProcess, drain_seconds: float = 10) -> socket.socket:
    """Run the processes to their end; return the listener."""
    listener = socket.create_server(("127.0.0.1", 0))
    Processes(list(processes), listener=listener, drain_seconds=drain_seconds).run()
    return listener


def test_all_are_drained_and_nobody_connects_any_more(web: Web, signals_restored: None) -> None:
    def stops_all(goes_on: GoesOn) -> None:
        os.kill(os.getppid(), signal.SIGTERM)
        waits(goes_on)

    processes = web(waits), web(stops_all)
    assert run(*processes).fileno() == -1
    assert [process.pid for process in processes] == [0, 0]


def test_one_that_does_not_end_is_killed_and_named(
    web: Web, signals_restored: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.02)

    def stubborn(goes_on: GoesOn) -> None:
        os.kill(os.getppid(), signal.SIGTERM)
        while True:
            signal.pause()

    run(web(stubborn), drain_seconds=0)
    assert "web_process_killed" in caplog.text
    assert "it does not end" in caplog.text


def test_one_that_dies_is_named_and_another_started(
    web: Web, signals_restored: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.0)
    read, write = os.pipe()
    os.write(write, b"dies")

    def dies_first(goes_on: GoesOn) -> None:
        os.set_blocking(read, False)
        try:
            os.read(read, 4)
        except BlockingIOError:
            os.kill(os.getppid(), signal.SIGTERM)
            waits(goes_on)
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    run(web(dies_first))
    assert caplog.text.count("web_process_died") == 1

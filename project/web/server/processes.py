"""Keeps processes running that share what this one has loaded, and stops them gently."""

import logging
import mmap
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

import structlog

log = structlog.get_logger(__name__)

#: Seconds without a sign of life after which a process is killed and replaced. Each shows one every second, unless
#: something keeps the interpreter's lock: no request of ours does so for half a minute.
LONGEST_SILENCE_SECONDS = 30.0
#: Seconds on top of the time that requests get, before a process that was told to end is killed.
GRACE_SECONDS = 3.0
#: Seconds to wait before replacing a process that died sooner than this after its start, so that one which cannot start
#: does not use up the machine.
_PAUSE_SECONDS = 1.0
#: How often, in seconds, the processes are looked after when no signal tells that one has ended.
_LOOK_SECONDS = 1.0
_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class WebProcess:
    """One process, which is started again when it has ended.

    Args:
        work: What the process does; it gets a function to ask, at least every second, whether to go on.
    """

    def __init__(self, work: Callable[[Callable[[], bool]], None]) -> None:
        self._work = work
        self._is_told = False
        # Shared with the process: when it was last asked whether it goes on. The clock is the same for both.
        self._beat = memoryview(mmap.mmap(-1, 8)).cast("d")
        self.pid = 0
        self._started = 0.0

    def start(self) -> None:
        """Fork."""
        self._started = self._beat[0] = time.monotonic()
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            self._live(parent)

    def start_if_due(self) -> None:
        """Start again if nothing runs here, after a pause if that failed at once the last time."""
        if not self.pid and time.monotonic() - self._started > _PAUSE_SECONDS:
            self.start()

    def has_ended(self) -> bool:
        """Tell whether the process has ended."""
        if self.pid and os.waitpid(self.pid, os.WNOHANG)[0]:
            self.pid = 0
        return not self.pid

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal, if it lives."""
        if self.pid:
            os.kill(self.pid, number)

    def kill_if_silent(self, *, late: float) -> None:
        """Kill the process if it shows no life, and that is not because everything here stood still.

        Args:
            late: Seconds that this process itself was late to look.
        """
        self._beat[0] += late
        if self.pid and time.monotonic() - self._beat[0] > LONGEST_SILENCE_SECONDS:
            log.error("web_process_killed", pid=self.pid, why="it shows no life", cure="none: another is started")
            self.send(signal.SIGKILL)
            self._beat[0] = time.monotonic()

    def _live(self, parent: int) -> None:
        """Be the process, to its end."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _STOP:
                signal.signal(number, self._note)
            self._work(lambda: self._goes_on(parent))
            code = 0
        except BaseException:
            log.exception("web_process_failed", pid=os.getpid())
        finally:
            logging.shutdown()
            os._exit(code)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._is_told = True

    def _goes_on(self, parent: int) -> bool:
        self._beat[0] = time.monotonic()
        return not self._is_told and os.getppid() == parent


class Processes:
    """Keeps the processes running until told to stop, and then stops them.

    Args:
        processes: The processes; not started yet.
        listener: Where clients connect; closed when told to stop, so that they go elsewhere.
        drain_seconds: How long a process may take to end.
    """

    def __init__(self, processes: list[WebProcess], *, listener: socket.socket, drain_seconds: float) -> None:
        self._processes = processes
        self._listener = listener
        self._drain_seconds = drain_seconds
        self._is_told = False
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in (*_STOP, signal.SIGCHLD):
            signal.signal(number, self._note)

    def run(self) -> None:
        """Keep every process running until told to stop, and stop them."""
        for process in self._processes:
            process.start()
        while not self._is_told:
            late = self._look()
            for process in self._processes:
                pid = process.pid
                if process.has_ended() and pid:
                    log.error("web_process_died", pid=pid, cure="none if it is rare: another is started")
                process.start_if_due()
                process.kill_if_silent(late=late)
        self._stop()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._is_told |= number in _STOP

    def _look(self) -> float:
        """Wait for a signal, for a second at most, and return how many seconds longer it took."""
        started = time.monotonic()
        if select.select([self._woken], [], [], _LOOK_SECONDS)[0]:
            os.read(self._woken, 1024)
        return max(0.0, time.monotonic() - started - _LOOK_SECONDS)

    def _stop(self) -> None:
        """Tell the processes to end, again and again: one that is only just starting may not handle signals yet."""
        self._listener.close()
        deadline = time.monotonic() + self._drain_seconds + GRACE_SECONDS
        while living := [process for process in self._processes if not process.has_ended()]:
            number = signal.SIGKILL if time.monotonic() > deadline else signal.SIGTERM
            for process in living:
                process.send(number)
                if number == signal.SIGKILL:
                    cure = "see what its requests wait for"
                    log.error("web_process_killed", pid=process.pid, why="it does not end", cure=cure)
            self._look()

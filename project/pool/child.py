"""One process of a pool, as its supervisor sees it."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from datetime import timedelta

from project.pool.protocol import (
    FromSupervisor,
    FromWorker,
    Names,
    Reader,
    Ready,
    ReplaceMe,
    UnknownLineError,
    format_line,
    parse_from_worker,
)

log = logging.getLogger("project.pool.supervisor")

#: A process that dies sooner than this after it was ready counts as failing.
HEALTHY_AFTER = timedelta(seconds=1)
#: What a failing process waits before it is started again: nothing the first time, then this, and twice as long each
#: time, so that a pool which cannot work does not use up the machine.
FIRST_PAUSE = timedelta(seconds=0.5)
#: So that a pool works again half a minute after its cause is gone.
LONGEST_PAUSE = timedelta(seconds=30)


class Child:
    """One process of the pool, which is started again and again.

    Args:
        command: The program and its arguments.
        output: The descriptor it writes to.
    """

    def __init__(self, command: Sequence[str], *, output: int) -> None:
        self._command = list(command)
        self._output = output
        self.names: Names | None = None
        self._deaths = 0
        self._start_at: float | None = None

    @property
    def pid(self) -> int:
        """The id of the process that was started last."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it takes messages."""
        return self._ready_at is not None and self.poll() is None

    def start(self) -> None:
        """Start the process."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - our own command
                self._command,
                stdin=theirs.fileno(),
                stdout=self._output,
                stderr=self._output,
            )
        self._socket = ours
        self._reader = Reader(parse_from_worker, report=self._report)
        self._ready_at: float | None = None
        self._start_at = None
        self._is_draining = self.wants_replacement = False
        self.names = None

    def poll(self) -> int | None:
        """Return how it ended, negative for a signal, or None while it runs."""
        return self._process.poll()

    def listen(self, *, timeout: float) -> list[FromWorker]:
        """Read what it has said; return what is not about itself.

        Args:
            timeout: Seconds to wait for something.
        """
        if self._start_at is not None:
            time.sleep(timeout)  # it is dead, and waits to be started again
            return []
        if not select.select([self._socket], [], [], timeout)[0]:
            return []
        received = self._receive()
        if not received:
            # Its end is near; without a pause the caller would spin until then.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        return [message for message in self._reader.read(received) if not self._takes_note(message)]

    def tell(self, message: FromSupervisor) -> None:
        """Tell it something; it may be dying."""
        with contextlib.suppress(OSError):
            self._socket.send(format_line(message), socket.MSG_DONTWAIT)

    def drain(self) -> None:
        """Tell it, once, to take no more messages, finish what it runs and end."""
        if not self._is_draining:
            self._is_draining = True
            self.send(signal.SIGHUP)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal if it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def close(self) -> None:
        """Close the connection: the process has ended, and is not started again."""
        self._socket.close()

    def start_if_due(self) -> bool:
        """Start a process again that has ended, after a pause if it keeps failing; tell whether it was."""
        if self._start_at is None:
            self._socket.close()
            self._start_at = time.monotonic() + self._pause().total_seconds()
        if time.monotonic() < self._start_at:
            return False
        self.start()
        return True

    def _receive(self) -> bytes:
        with contextlib.suppress(ConnectionError):
            return self._socket.recv(4096)
        return b""

    def _takes_note(self, message: FromWorker) -> bool:
        """Remember what a process says about itself; tell whether this is such a message."""
        match message:
            case Ready(names=names):
                self._ready_at = time.monotonic()
                self.names = names
            case ReplaceMe():
                self.wants_replacement = True
            case _:
                return False
        return True

    def _report(self, error: UnknownLineError) -> None:
        cure = "none if a release is being rolled out; otherwise restart the pool"
        log.warning("unknown_line_ignored", extra={"pid": self.pid, "line": str(error), "cure": cure})

    def _pause(self) -> timedelta:
        """Return how long to wait, after saying why."""
        if self._is_draining and self.poll() == 0:
            log.info("process_replaced", extra={"pid": self.pid})
            self._deaths = 0
            return timedelta()
        has_worked = self._ready_at is not None and time.monotonic() - self._ready_at > HEALTHY_AFTER.total_seconds()
        self._deaths = 1 if has_worked else self._deaths + 1
        pause = timedelta() if self._deaths == 1 else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._deaths - 2, 10))
        cure = "none if it is rare: another is started; otherwise read the lines before this one"
        fields = {"pid": self.pid, "exit_code": self.poll(), "restart_in_seconds": pause.total_seconds(), "cure": cure}
        log.error("process_died", extra=fields)
        return pause

"""A worker process's connection to its supervisor: its standard input, one of a pair of sockets, used both ways."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from project.pool.protocol import (
    FromSupervisor,
    FromWorker,
    Reader,
    UnknownLineError,
    format_line,
    parse_from_supervisor,
)

log = structlog.get_logger(__name__)


class SupervisorConnection:
    """The worker process's end of the connection.

    Args:
        connected: The socket; the supervisor has the other one of the pair.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    @classmethod
    def over_standard_input(cls) -> SupervisorConnection:
        """Take the connection from standard input, so that nothing this process starts inherits it and listens in."""
        connected = socket.socket(fileno=os.dup(sys.stdin.fileno()))
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), sys.stdin.fileno())
        return cls(connected)

    def say(self, message: FromWorker) -> None:
        """Tell the supervisor something; it may have ended."""
        with contextlib.suppress(OSError):
            self._socket.sendall(format_line(message))

    def listen(self, hear: Callable[[FromSupervisor], None]) -> None:
        """Listen, in a thread; drain when the supervisor has ended, at which the kernel closes its side.

        Args:
            hear: Called with each message; must not block, or the end of the supervisor would not be noticed.
        """
        threading.Thread(target=self._listen, args=[hear], name="supervisor", daemon=True).start()

    def _listen(self, hear: Callable[[FromSupervisor], None]) -> None:
        reader = Reader(parse_from_supervisor, report=_report)
        with contextlib.suppress(OSError):
            while received := self._socket.recv(4096):
                for message in reader.read(received):
                    hear(message)
        os.kill(os.getpid(), signal.SIGHUP)


def _report(error: UnknownLineError) -> None:
    log.warning("unknown_line_ignored", line=str(error), cure="a supervisor of another release: restart the pool")

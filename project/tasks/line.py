"""The line between a process of a pool and its supervisor: the process's standard input, used in both directions."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading


class Line:
    """The process's end of the line."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=os.dup(sys.stdin.fileno()))

    def say(self, words: str) -> None:
        """Say something; nobody may be there any more to hear it."""
        with contextlib.suppress(OSError):
            self._socket.sendall(f"{words}\n".encode())

    def drain_when_it_breaks(self) -> None:
        """Watch, in a thread, for the supervisor's end, at which the kernel closes its side."""
        threading.Thread(target=self._watch, name="line", daemon=True).start()

    def _watch(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.recv(1)
        os.kill(os.getpid(), signal.SIGTERM)

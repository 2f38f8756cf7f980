"""The line between a process of a pool and its supervisor: the process's standard input, used in both directions."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path


class Line:
    """The process's end of the line."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=os.dup(sys.stdin.fileno()))
        # What this process starts inherits its standard input, and must not listen in.
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), sys.stdin.fileno())

    def say(self, words: str) -> None:
        """Say something; nobody may be there any more to hear it."""
        with contextlib.suppress(OSError):
            self._socket.sendall(f"{words}\n".encode())

    def listen(self, hear: Callable[[str], None]) -> None:
        """Listen, in a thread; drain when the supervisor has ended, at which the kernel closes its side.

        Args:
            hear: Called with each line.
        """
        threading.Thread(target=self._listen, args=[hear], name="line", daemon=True).start()

    def _listen(self, hear: Callable[[str], None]) -> None:
        with contextlib.suppress(OSError), self._socket.makefile("r") as lines:
            for line in lines:
                hear(line.strip())
        os.kill(os.getpid(), signal.SIGHUP)

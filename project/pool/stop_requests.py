"""What signals to a worker process mean: SIGHUP or one SIGTERM drains it, a second SIGTERM ends it at once.

A signal to a whole process group (`timeout`, tmux, systemd without KillMode=mixed) reaches each worker and their
supervisor. So the supervisor passes its own on as SIGHUP, and both together are one request.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dramatiq.cli import RET_KILLED

#: Seconds that threads which nobody stopped, such as those that tasks left behind, may hold the process up.
LEFT_BEHIND = 5.0


def end_at_second_sigterm() -> None:
    """End this process the moment a second SIGTERM comes, whatever it is doing.

    A thread of its own looks for it: the main one may wait for a name server, which no signal interrupts. And it
    leaves no way for other threads to hold it up, as `sys.exit` would.
    """
    incoming, outgoing = socket.socketpair()
    outgoing.setblocking(False)
    signal.set_wakeup_fd(outgoing.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_count, args=[incoming, outgoing], name="signals", daemon=True).start()


def drain_once() -> None:
    """Have Dramatiq hear of the first request only: to it a SIGHUP that follows a SIGTERM would be the second one."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP):
        _pass_on_the_first(number, asked)


@contextmanager
def ending_in_time() -> Iterator[None]:
    """Let the process end soon after the block, though a thread is left that the interpreter would wait for."""
    code: int | str | None = 1
    try:
        yield
        code = 0
    except SystemExit as end:
        code = end.code
        raise
    finally:
        last_moment = threading.Timer(LEFT_BEHIND, os._exit, [code if isinstance(code, int) else 1])
        last_moment.daemon = True
        last_moment.start()


def _count(incoming: socket.socket, _kept_open: socket.socket) -> None:
    requests = 0
    while requests < 2:  # noqa: PLR2004 - a second one
        requests += incoming.recv(64).count(signal.SIGTERM)
    os.write(sys.stderr.fileno(), b"Told to stop a second time: ending now, what ran here is tried again.\n")
    os._exit(RET_KILLED)


def _pass_on_the_first(number: signal.Signals, asked: threading.Event) -> None:
    previous = signal.getsignal(number)

    def hear(received: int, frame: FrameType | None) -> None:
        if not asked.is_set() and callable(previous):
            asked.set()
            previous(received, frame)

    signal.signal(number, hear)

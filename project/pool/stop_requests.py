"""What signals to a worker process mean: SIGHUP or one SIGTERM drains it, a second SIGTERM ends it at once.

A signal to a whole process group (`timeout`, tmux, systemd without KillMode=mixed) reaches each worker and their
supervisor. So the supervisor passes its own on as SIGHUP, and both together are one request.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from dramatiq.cli import RET_KILLED, try_unblock_signals

#: How long threads that nobody stopped, such as those that tasks left behind, may hold the process up: long enough for
#: the last lines of a log, shorter than any supervisor's patience.
LEFT_BEHIND = timedelta(seconds=5)
#: Its number: `sys.stderr` may be anything by then.
_STDERR = 2


class StopRequests:
    """Counts the requests to stop, and ends this process at the second SIGTERM, whatever it is doing.

    A thread of its own does, from the numbers that the interpreter writes into a socket the moment a signal comes: the
    main thread may wait for a name server, which no signal interrupts. And it leaves no way for other threads to hold
    it up, as `sys.exit` would.

    Attributes:
        asked: Set at the first request.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._incoming, self._outgoing = socket.socketpair()
        self._outgoing.setblocking(False)
        signal.set_wakeup_fd(self._outgoing.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._count, name="signals", daemon=True).start()

    def listen(self) -> None:
        """Take signals for requests, from the main thread; those that were blocked until now come at once."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            # A signal that nobody handles is not written into the socket; and others may put handlers before this one.
            signal.signal(number, lambda _number, _frame: None)
        try_unblock_signals()

    def _count(self) -> None:
        sigterms = 0
        while sigterms < 2:  # noqa: PLR2004 - the second one
            numbers = self._incoming.recv(64)
            sigterms += numbers.count(signal.SIGTERM)
            if sigterms or signal.SIGHUP in numbers:
                self.asked.set()
        os.write(_STDERR, b"Told to stop a second time: ending now, what ran here is tried again.\n")
        os._exit(RET_KILLED)


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
        last_moment = threading.Timer(LEFT_BEHIND.total_seconds(), os._exit, [code if isinstance(code, int) else 1])
        last_moment.daemon = True
        last_moment.start()

"""A server as a child process that ends with its parent.

Nothing in this package reads Django's settings: the addresses of these servers are what the
settings are made from.
"""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from project.embedded.spawn import identity, spawn

#: A database that was killed reads its log again before it answers.
START_SECONDS = 60.0
#: What a crash left behind holds the data for a moment; what fails ten times, fails for another reason.
MOST_STARTS = 10
#: For the last checkpoint; then the process is killed, which costs no data.
STOP_SECONDS = 20.0


class EmbeddedServerError(Exception):
    """A server cannot be started; the message says what to do."""


class Server:
    """One child process that serves at a fixed address; it may be stopped, killed and started again.

    Args:
        name: What messages call it.
        url: Its address, the same after each start.
        command: The program and its arguments.
        ready: Given the process's id, tells whether it answers.
        log: The file that its output is appended to; its lock is beside it.
        stop_signal: What asks it to end cleanly.
        configuration: What the program reads from its standard input.
        user: The system user it runs as, if not this one.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        command: Sequence[str],
        ready: Callable[[int], bool],
        log: Path,
        stop_signal: signal.Signals,
        configuration: str = "",
        user: str | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self._command = command
        self._ready = ready
        self._log = log
        self._stop_signal = stop_signal
        self._configuration = configuration
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the process that was started last, or 0."""
        return self._process.pid if self._process else 0

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process without waiting until it is ready, ending what an earlier run left of it.

        Raises:
            LeftoverError: If that does not go away.
        """
        with self._log.open("ab") as log:
            process = spawn(
                self._command,
                lock=self._log.with_suffix(".lock"),
                parent_died=self._stop_signal,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                **identity(self._user),
            )
        if process.stdin:
            with process.stdin as stdin:
                stdin.write(self._configuration.encode())
        self._process = process

    def wait_until_ready(self) -> None:
        """Wait until the server answers; start it again when it ends at once.

        What a crash left behind may take a moment to let go of the data.

        Raises:
            EmbeddedServerError: If it is not ready after `START_SECONDS`.
        """
        deadline = time.monotonic() + START_SECONDS
        starts = 1
        while not self._ready(self.pid):
            if starts > MOST_STARTS or time.monotonic() > deadline:
                self.kill()
                raise EmbeddedServerError(f"{self.name} did not start. Read {self._log} for the reason.")
            if not self.is_running():
                time.sleep(0.3)
                self.start()
                starts += 1
            time.sleep(0.01)

    def stop(self) -> None:
        """Ask the process to end, wait for it, and kill it when it takes too long."""
        if self._process is None or not self.is_running():
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would."""
        if self._process is not None and self.is_running():
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def unsupported(*, server: str, variable: str) -> EmbeddedServerError:
    """Return the error for a machine for which there is no wheel."""
    return EmbeddedServerError(
        f"There is no embedded {server} for this machine. Start one yourself and set {variable} to its address."
    )

"""Ends the processes of a run that was killed, on which no `finally` can be relied."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Reads process groups (`+1234`, `-1234` when it has ended) until the run ends, and kills what is left of them. Then it
#: removes the run's directory, in which servers may still be writing for a moment.
_PROGRAM = """
import os, shutil, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
for _ in range(100):
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if not os.path.exists(sys.argv[1]):
        break
    time.sleep(0.1)
"""


class Leftovers:
    """Knows which process groups live, and outlives this process to end them.

    Args:
        directory: Of the run, removed at its end; None if that is somebody else's business.
    """

    def __init__(self, directory: Path | None = None) -> None:
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(directory or "")]
        self._watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    @contextmanager
    def watching(self, group: int) -> Iterator[None]:
        """End a process group when this process ends within the block, however it does."""
        self._say(f"+{group}\n")
        try:
            yield
        finally:
            self._say(f"-{group}\n")

    def close(self) -> None:
        """Have it do so now."""
        if self._watcher.stdin:
            self._watcher.stdin.close()
        self._watcher.wait()

    def _say(self, line: str) -> None:
        if self._watcher.stdin:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._watcher.stdin.fileno(), line.encode())

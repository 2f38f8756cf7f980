"""Ends the processes of a run that was killed, on which no `finally` can be relied."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Reads process groups (`+1234`, `-1234` when it has ended) until the run ends, and kills what is left of them.
_PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class Leftovers:
    """Knows which process groups live, and outlives this process to end them."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM]
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
        """Let the watcher go."""
        if self._watcher.stdin:
            self._watcher.stdin.close()
        self._watcher.wait()

    def _say(self, line: str) -> None:
        if self._watcher.stdin:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._watcher.stdin.fileno(), line.encode())

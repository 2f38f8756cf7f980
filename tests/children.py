"""Tiny processes of a pool, started by the test itself, which says what each of them says and does."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from project.pool.child import Child

#: What it says first; its id is in the names that it works under.
READY = "say('ready %032x/broker' % os.getpid())"
READY_WITHOUT_NAMES = "say('ready')"
REPLACE_ME = "say('replace me')"

_PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGHUP, lambda *_: sys.exit(0))
def say(line): os.write(0, line.encode() + b"\\n")
def stay():
    while heard := os.read(0, 4096): os.write(1, b"".join(b"%d %s\\n" % (os.getpid(), l) for l in heard.splitlines()))
"""


def command(*does: str) -> list[str]:
    """Return the command of a process that does these statements, one after the other.

    Args:
        does: Python; `say(line)` tells the supervisor, and `stay()` notes what it hears until the supervisor ends.
    """
    return [sys.executable, "-I", "-S", "-c", "\n".join([_PROGRAM, *does])]


class Heard:
    """What processes wrote down that they were told; `output` is where they write."""

    def __init__(self) -> None:
        self._read, self.output = os.pipe()
        os.set_blocking(self._read, False)
        self._text = ""

    def by(self, child: Child) -> list[str]:
        """Return the ids of the dead that a process was told of, in their order."""
        with suppress(BlockingIOError):
            self._text += os.read(self._read, 65536).decode()
        lines = [line.split() for line in self._text.splitlines()]
        return [str(UUID(names.partition("/")[0]).int) for pid, _, names in lines if pid == str(child.pid)]

    def close(self) -> None:
        """Close both ends."""
        os.close(self._read)
        os.close(self.output)


@contextmanager
def ended_afterwards(children: Callable[[], list[Child]]) -> Iterator[None]:
    """Kill what still runs of these children when the block is left.

    Args:
        children: Asked at the end.
    """
    yield
    for child in children():
        if child.poll() is None:
            os.kill(child.pid, 9)
            child._process.wait()
        child.close()

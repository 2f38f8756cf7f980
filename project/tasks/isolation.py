"""A run on its last chance has its process to itself, so that a run which kills its worker takes no other with it.

When a process dies, nobody can tell which of the runs in it is to blame: all count a death. They are tried again at
the same time and so meet again, and with the poisonous one among them the innocent ones would soon be dead too. Only
what dies while it runs alone is certainly to blame.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

#: Seconds a run waits for the others to end; after that it has to put up with them.
PATIENCE = 60.0


class Isolation:
    """Lets many runs share the process, or one have it alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._wanted_alone = 0
        self._is_alone = False

    def held(self, *, alone: bool) -> AbstractContextManager[None]:
        """Return what a run is executed in.

        Args:
            alone: Let those that run end first, and no other start meanwhile.
        """
        return self._alone() if alone else self._shared()

    @contextmanager
    def _shared(self) -> Iterator[None]:
        with self._changed:
            if self._wanted_alone:
                self._changed.wait_for(lambda: not self._wanted_alone)
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                if self._wanted_alone:
                    self._changed.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._changed:
            self._wanted_alone += 1
            self._changed.wait_for(lambda: not self._is_alone)
            self._is_alone = True
            self._changed.wait_for(lambda: not self._sharing, PATIENCE)
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._wanted_alone -= 1
                self._changed.notify_all()


isolation = Isolation()

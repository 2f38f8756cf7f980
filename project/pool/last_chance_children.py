"""The processes of a pool that run what is on its last chance: started when something waits, ended by themselves."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta

from project.pool.child import Child
from project.pool.protocol import Names

log = logging.getLogger("project.pool.supervisor")

#: What still waits so long after a process was started for it needs another one: the first is busy. Longer than a
#: process takes to load the service and to take its first message.
TIME_TO_TAKE = timedelta(seconds=4)


class LastChanceChildren:
    """Processes of which each executes one run at a time, and nothing but last chances.

    Args:
        command: The program and its arguments.
        output: The descriptor they write to.
        most: How many there may be at once.
    """

    def __init__(self, command: Sequence[str], *, output: int, most: int) -> None:
        self.living: list[Child] = []
        self._command = command
        self._output = output
        self._most = most
        self._started_at = float("-inf")

    def start_another(self) -> None:
        """Start one because something waits, unless one has only just been started for it or there are enough."""
        is_recent = time.monotonic() - self._started_at < TIME_TO_TAKE.total_seconds()
        if is_recent or len(self.living) >= self._most:
            return
        child = Child(self._command, output=self._output)
        child.start()
        self.living.append(child)
        self._started_at = time.monotonic()
        log.info("last_chance_process_started", extra={"pid": child.pid})

    def forget_ended(self) -> list[Names]:
        """Forget those that have ended; return the names of those that died."""
        ended = [child for child in self.living if child.poll() is not None]
        for child in ended:
            child.close()
            self.living.remove(child)
            log.info("last_chance_process_ended", extra={"pid": child.pid, "exit_code": child.poll()})
            if child.poll():
                # What waits beside it may be tried at once: whoever was to blame is dead.
                self._started_at = float("-inf")
        return [child.names for child in ended if child.poll() and child.names]

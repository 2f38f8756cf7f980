"""What a drill does to processes and servers while runs are executed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import connection

from project.drill import ledger
from project.drill.crew import Crew
from project.drill.options import Options
from project.embedded.server import Server
from project.tasks.outbox import broker

#: Seconds to wait at most for worker processes that live.
_LONGEST_WAIT = 60.0
#: Seconds to wait for one that executes something; after that an idle one is killed.
_BUSY_WAIT = 3.0


@dataclass(frozen=True)
class Kill:
    """A worker process that was killed.

    Args:
        pid: Its id.
        at: When, in seconds since 1970 on the database's clock.
    """

    pid: int
    at: float


class Chaos:
    """Everything that goes wrong, in a random order.

    Args:
        options: How much of it.
        crew: The processes.
        database: The drill's own server, if it has one.
        valkey: The same.
    """

    def __init__(self, options: Options, *, crew: Crew, database: Server | None, valkey: Server | None) -> None:
        self.kills: list[Kill] = []
        self.done: dict[str, int] = {}
        self._crew = crew
        self._database, self._valkey = database, valkey
        self._random = random.Random(options.seed)  # noqa: S311 - no secret depends on it
        self._clock_ahead = ledger.clock_ahead()
        self._enough = max(1, options.processes // 2)
        self.plan = self._draw_up(options)

    def _draw_up(self, options: Options) -> list[Callable[[], None]]:
        """Return what to do, one thing after the other."""
        kills = options.kills
        plan = [self.kill_worker] * kills
        if self._database is not None:
            plan += [self.kill_scheduler] * (kills // 10)
            plan += [self.flush_broker, self.stall_broker] * -(-kills // 20)
            plan += [self.restart_broker, self.restart_database] * -(-kills // 40)
            plan += [self.crash_database] * (kills // 80)
        self._random.shuffle(plan)
        return plan

    def take(self, step: Callable[[], None]) -> None:
        """Do one thing of the plan, and count it."""
        step()
        name = step.__name__
        self.done[name] = self.done.get(name, 0) + 1

    def wait_for_crew(self) -> None:
        """Wait until enough worker processes live for the others to go on when one is killed.

        Raises:
            TimeoutError: If they do not come back.
        """
        deadline = time.monotonic() + _LONGEST_WAIT
        while len(self._living()) < self._enough:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._enough} worker processes did not come back in {_LONGEST_WAIT:g} s.")
            time.sleep(0.05)

    def kill_worker(self) -> None:
        """Kill a worker process, one that executes something if there is one."""
        deadline = time.monotonic() + _BUSY_WAIT
        while not (victims := self._busy()) and time.monotonic() < deadline:
            time.sleep(0.005)
        self.wait_for_crew()
        pid = self._random.choice(sorted(victims or self._living()))
        self.kills.append(Kill(pid, time.time() + self._clock_ahead))
        os.kill(pid, signal.SIGKILL)

    def kill_scheduler(self) -> None:
        """Kill the scheduler."""
        self._crew.kill_scheduler()

    def flush_broker(self) -> None:
        """Make the broker forget everything."""
        broker().client.flushall()

    def stall_broker(self) -> None:
        """Let the broker hang for some seconds."""
        if self._valkey is not None:
            os.kill(self._valkey.pid, signal.SIGSTOP)
            time.sleep(self._random.uniform(1, 4))
            os.kill(self._valkey.pid, signal.SIGCONT)

    def restart_broker(self) -> None:
        """Kill the broker and start it again."""
        _restart(self._valkey, gently=False)

    def restart_database(self) -> None:
        """Stop the database and start it again."""
        _restart(self._database, gently=True)

    def crash_database(self) -> None:
        """Kill the database and start it again."""
        _restart(self._database, gently=False)

    def _living(self) -> list[int]:
        killed = {kill.pid for kill in self.kills}
        try:
            return [pid for pid in self._crew.workers() if pid not in killed]
        except DatabaseError:
            connection.close()
            return []

    def _busy(self) -> list[int]:
        living = self._living()
        try:
            return ledger.busy(living)
        except DatabaseError:
            connection.close()
            return []


def _restart(server: Server | None, *, gently: bool) -> None:
    if server is not None:
        server.stop() if gently else server.kill()
        server.start()
        server.wait_until_ready()

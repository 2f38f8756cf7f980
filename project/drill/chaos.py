"""What a drill does while runs are executed, and in which order."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import Error as DatabaseError
from django.db import IntegrityError, connection, transaction

from project.drill import executions
from project.drill.options import Options
from project.drill.outages import Outages
from project.drill.processes import Processes
from project.drill.tasks import execute, refuse
from project.tasks import Batch, Cause, caused_by
from project.values.ids import uuid7

#: Seconds to wait at most for worker processes that live: the longest outage, and time to start again after it.
_LONGEST_WAIT = 60.0
#: Seconds to wait for one that executes something; after that an idle one is killed.
_BUSY_WAIT = 3.0
#: How many seconds a worker's clock is ahead; the negative ones are behind. Less and more than a silence that is
#: taken for death.
_SKEWS = (-600, -30, 30, 600)


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
        processes: The processes.
        outages: What can be done to the servers, if they are the drill's own.
        chance: In which order, to whom and how long.
    """

    def __init__(
        self, options: Options, *, processes: Processes, outages: Outages | None, chance: random.Random
    ) -> None:
        self.kills: list[Kill] = []
        self.batches: list[UUID] = []
        self.done: dict[str, int] = {}
        self._processes = processes
        self._outages = outages
        self._random = chance
        self._clock_ahead = executions.clock_ahead()
        self._enough = max(1, options.processes // 2)
        self.plan = self._draw_up(options)

    def _draw_up(self, options: Options) -> list[Callable[[], None]]:
        """Return what to do, one thing after the other."""
        kills = options.kills
        plan: list[Callable[[], None]] = [self.kill_worker] * kills
        if (servers := self._outages) is not None:
            plan += [self.kill_scheduler, self.send_bad_batch] * (kills // 10)
            plan += [servers.flush_broker, servers.stall_broker, servers.lose_list] * -(-kills // 20)
            plan += [servers.restart_broker, servers.restart_database, servers.fill_broker] * -(-kills // 40)
            plan += [servers.make_database_read_only, servers.lock_row, self.skew_clock] * -(-kills // 40)
            plan += [servers.lock_table, servers.take_database_away, servers.crash_database] * (kills // 80)
            plan += [self.signal_twice] * (kills // 80)
        self._random.shuffle(plan)
        return plan

    def take(self, step: Callable[[], None]) -> None:
        """Do one thing of the plan, and count it."""
        step()
        name = step.__name__
        self.done[name] = self.done.get(name, 0) + 1

    def wait_for_workers(self) -> None:
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
        self.wait_for_workers()
        pid = self._random.choice(sorted(victims or self._living()))
        self.kills.append(Kill(pid, time.time() + self._clock_ahead))
        os.kill(pid, signal.SIGKILL)

    def kill_scheduler(self) -> None:
        """Kill the scheduler."""
        self._processes.kill_scheduler()

    def signal_twice(self) -> None:
        """Tell the whole pool twice to end: what it runs is dropped, as if its workers had been killed."""
        self.wait_for_workers()
        at = time.time() + self._clock_ahead
        self.kills += [Kill(pid, at) for pid in self._living()]
        self._processes.signal_twice()

    def skew_clock(self) -> None:
        """Have another worker whose clock is wrong."""
        self._processes.skew_clock(self._random.choice(_SKEWS))

    def send_bad_batch(self) -> None:
        """Send a batch whose callback can never be sent, for a user who is gone."""
        user = get_user_model().objects.create(username=f"drill-{uuid7()}")
        with transaction.atomic(), caused_by(Cause(source="api", user_id=user.pk)):
            batch = Batch.send([execute.call(milliseconds=0)], then=refuse.call())
        self.batches.append(batch.id)
        try:
            user.delete()
        except IntegrityError:
            # The batch had ended already, and its callback was being sent for the user.
            user.delete()

    def _living(self) -> list[int]:
        killed = {kill.pid for kill in self.kills}
        try:
            return [pid for pid in self._processes.workers() if pid not in killed]
        except DatabaseError:
            connection.close()
            return []

    def _busy(self) -> list[int]:
        living = self._living()
        try:
            return executions.busy(living)
        except DatabaseError:
            connection.close()
            return []

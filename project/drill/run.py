"""One drill from its first send to its report."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from django.db import IntegrityError, InterfaceError, OperationalError, connection

from project.drill import executions
from project.drill.chaos import Chaos
from project.drill.options import Options
from project.drill.outages import Outage, Outages
from project.drill.processes import Processes
from project.drill.report import Evidence, Report, report
from project.drill.tasks import LIMITED, SENT, awaited, execute, keyed, rated
from project.embedded.server import Server
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.policy import MAX_DEATHS
from project.tasks.running.database import insist
from project.values.ids import uuid7

#: So many runs wait at most, so that the work lasts as long as the chaos: about a second's worth for the default pool.
BACKLOG = 300


#: Which of ten runs are limited.
_RATED, _KEYED = 4, 7
#: Those on the event loop.
_AWAITED = {5, 6, 8}


class Sender(threading.Thread):
    """Sends runs one by one, as a web process would, at the pace of the chaos.

    Args:
        options: How many.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(name="sender", daemon=True)
        self.sent: list[UUID] = []
        self.allowed = 0
        self._options = options
        self._random = random.Random(options.seed)  # noqa: S311 - no secret depends on it

    def run(self) -> None:
        """Send until all are sent."""
        while len(self.sent) < self._options.tasks:
            if len(self.sent) >= self.allowed or self._is_backlogged():
                time.sleep(0.02)
                continue
            self.sent.append(_send(len(self.sent), self._random.randint(0, 2 * self._options.milliseconds)))
        connection.close()

    def _is_backlogged(self) -> bool:
        # Counting is not free: only now and then.
        return len(self.sent) % 50 == 0 and unfinished() > BACKLOG


def drill(options: Options, *, directory: Path, database: Server | None, valkey: Server | None) -> Report:
    """Send runs, let everything go wrong, wait for the end and judge.

    Args:
        options: How much of it.
        directory: Where logs go.
        database: The drill's own server, if it has one.
        valkey: The same.
    """
    executions.create()
    processes = Processes(options, directory=directory)
    chance = random.Random(options.seed)  # noqa: S311 - no secret depends on it
    outages = Outages(database=database, valkey=valkey, chance=chance) if database and valkey else None
    chaos = Chaos(options, processes=processes, outages=outages, chance=chance)
    sender = Sender(options)
    processes.start()
    try:
        sender.start()
        _disrupt(options, chaos=chaos, sender=sender)
        _wait_for_the_end(options, sender=sender)
        return _judge(sender.sent, chaos, outages=outages.past if outages else [])
    finally:
        processes.stop()


def _disrupt(options: Options, *, chaos: Chaos, sender: Sender) -> None:
    """Do one thing of the plan after each share of the runs."""
    steps = len(chaos.plan)
    for number, step in enumerate(chaos.plan, start=1):
        chaos.wait_for_workers()
        sender.allowed = options.tasks * number // (steps + 1)
        while len(sender.sent) < sender.allowed and sender.is_alive():
            time.sleep(0.02)
        chaos.take(step)
        _say(options, f"{number}/{steps} {step.__name__.replace('_', ' ')}; {len(sender.sent)} runs sent")
    sender.allowed = options.tasks


def _wait_for_the_end(options: Options, *, sender: Sender) -> None:
    """Wait until every run has ended, or none has for too long."""
    left, since = options.tasks, time.monotonic()
    while sender.is_alive() or left:
        now = unfinished()
        if now != left or sender.is_alive():
            left, since = now, time.monotonic()
        if time.monotonic() - since > options.patience:
            return
        time.sleep(0.1)


def unfinished() -> int:
    """Count the drill's runs and batches that have not ended."""
    waiting = TaskRun.objects.filter(task__in=SENT, state__in=TaskRun.UNFINISHED)
    return insist(lambda: waiting.count() + TaskBatch.objects.filter(finished_at=None).count())


def _send(number: int, milliseconds: int) -> UUID:
    """Send one run, however often the database has to be asked; its id makes a second send harmless.

    Args:
        number: Which one it is: of ten, one is limited in how often it starts, one in how many run at once, and three
            are coroutines.
        milliseconds: How long it takes.
    """
    run_id = uuid7()
    while True:
        try:
            if number % 10 == _RATED:
                rated.using(run_id=run_id).send(milliseconds=milliseconds)
            elif number % 10 == _KEYED:
                keyed.using(run_id=run_id).send(milliseconds=milliseconds, key=f"key {number // 10 % 4}")
            elif number % 10 in _AWAITED:
                awaited.using(run_id=run_id).send(milliseconds=milliseconds)
            else:
                execute.using(run_id=run_id).send(milliseconds=milliseconds)
        except IntegrityError:
            return run_id
        except (OperationalError, InterfaceError):
            connection.close()
            time.sleep(0.1)
        else:
            return run_id


def _judge(sent: Sequence[UUID], chaos: Chaos, *, outages: Sequence[Outage]) -> Report:
    runs = TaskRun.objects.filter(task__in=SENT).values_list("id", "state", "deaths")
    evidence = Evidence(
        ends={run_id: (state, deaths) for run_id, state, deaths in runs},
        sent=sent,
        executions=executions.recorded(),
        kills=chaos.kills,
        outages=outages,
        unsettled=TaskBatch.objects.filter(id__in=chaos.batches, finished_at=None).count(),
        chaos=chaos.done,
        most_deaths=MAX_DEATHS,
        limited=LIMITED,
    )
    return report(evidence)


def _say(options: Options, text: str) -> None:
    if not options.json:
        sys.stderr.write(f"{text}\n")

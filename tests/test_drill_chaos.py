"""What a drill does to its processes, and how much of it: its report is worth no more than its chaos."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection

from project.drill import chaos as module
from project.drill import executions, run
from project.drill.chaos import Chaos
from project.drill.options import Options
from project.drill.outages import Outages
from project.drill.processes import Processes
from project.drill.tasks import execute
from project.embedded.server import Server
from project.tasks.models import TaskBatch, TaskRun, Worker
from project.values.ids import uuid7

pytestmark = pytest.mark.django_db(transaction=True)

OPTIONS = Options(
    tasks=10, kills=20, processes=2, threads=1, milliseconds=0, seed=0, patience=0.1, configured=True, json=True,
    keep=False,
)  # fmt: skip


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """A pool of two processes that do nothing, and are signed on as workers."""
    processes = Processes(OPTIONS, directory=tmp_path)
    processes._pool = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & echo $!; wait"], stdout=-1, process_group=0)
    assert processes._pool.stdout
    pids = [processes._pool.pid, int(processes._pool.stdout.readline())]
    for pid in pids:
        Worker.objects.create(kind=Worker.Kind.WORKER, hostname="here", pid=pid)
    yield processes
    os.killpg(processes._pool.pid, signal.SIGKILL)
    processes._pool.communicate()


@pytest.fixture
def table() -> Iterator[None]:
    """The drill's table of executions."""
    executions.create()
    yield
    executions.drop()


def a_server() -> Server:
    """A server of the drill's own, which is never started."""
    return Server(
        name="server", url="", command=[], ready=lambda pid: True, log=Path(os.devnull), stop_signal=signal.SIGTERM
    )


def chaos(processes: Processes, *, kills: int = 20, seed: int = 0, has_servers: bool = False) -> Chaos:
    chance = random.Random(seed)
    outages = Outages(database=a_server(), valkey=a_server(), chance=chance) if has_servers else None
    return Chaos(replace(OPTIONS, kills=kills), processes=processes, outages=outages, chance=chance)


def names(chaos: Chaos) -> list[str]:
    return [step.__name__ for step in chaos.plan]


EVEN_A_SMALL_ONE = {
    *("kill_worker", "flush_broker", "stall_broker", "lose_list", "restart_broker", "restart_database", "fill_broker"),
    *("make_database_read_only", "lock_row", "skew_clock"),
}
FROM_TEN = {"kill_scheduler", "send_bad_batch"}
FROM_EIGHTY = {"lock_table", "take_database_away", "crash_database", "signal_twice"}


@pytest.mark.parametrize(
    ("kills", "kinds"),
    [(1, EVEN_A_SMALL_ONE), (20, EVEN_A_SMALL_ONE | FROM_TEN), (80, EVEN_A_SMALL_ONE | FROM_TEN | FROM_EIGHTY)],
)
def test_the_more_kills_the_more_kinds_of_trouble(processes: Processes, kills: int, kinds: set[str]) -> None:
    plan = Counter(names(chaos(processes, kills=kills, has_servers=True)))
    assert set(plan) == kinds
    assert plan["kill_worker"] == kills


def test_a_drill_of_a_thousand_kills_does_everything_many_times(processes: Processes) -> None:
    plan = Counter(names(chaos(processes, kills=1000, has_servers=True)))
    assert {kind: plan[kind] for kind in ("send_bad_batch", "stall_broker", "lock_row", "crash_database")} == {
        "send_bad_batch": 100,
        "stall_broker": 50,
        "lock_row": 25,
        "crash_database": 12,
    }


def test_on_servers_of_somebody_else_a_drill_only_kills_its_own_processes(processes: Processes) -> None:
    assert names(chaos(processes, kills=80)) == ["kill_worker"] * 80


def test_the_same_seed_is_the_same_chaos_and_another_seed_another(processes: Processes) -> None:
    plans = [names(chaos(processes, seed=seed, has_servers=True)) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_a_worker_that_executes_something_is_killed_rather_than_an_idle_one(processes: Processes, table: None) -> None:
    _idle, busy = processes.workers()
    executions.begin(uuid4(), run_id=uuid4(), pid=busy, task="", key="", started=0)
    executions.begin(uuid4(), run_id=uuid4(), pid=os.getpid(), task="", key="", started=0)
    trouble = chaos(processes)
    before = time.time()
    trouble.take(trouble.kill_worker)
    assert [kill.pid for kill in trouble.kills] == [busy]
    assert trouble.kills[0].at == pytest.approx(before, abs=5)
    assert trouble.done == {"kill_worker": 1}


def test_a_drill_whose_workers_do_not_come_back_says_so(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_WAIT", 0.0)
    trouble = chaos(processes)
    trouble.wait_for_workers()
    Worker.objects.all().delete()
    with pytest.raises(TimeoutError, match="1 worker processes did not come back"):
        trouble.wait_for_workers()


def test_the_batch_whose_callback_cannot_be_sent_is_remembered_and_its_user_gone(processes: Processes) -> None:
    trouble = chaos(processes)
    trouble.send_bad_batch()
    assert trouble.batches == [TaskBatch.objects.get().id]
    assert not get_user_model().objects.exists()


def test_a_sender_stays_within_what_the_chaos_allows() -> None:
    sender = run.Sender(replace(OPTIONS, tasks=3))
    sender.allowed = 3
    sender.start()
    sender.join(10)
    assert len(sender.sent) == len(set(sender.sent)) == TaskRun.objects.filter(task="drill.execute").count() == 3


def test_a_run_whose_sending_was_cut_off_is_sent_again() -> None:
    cut = iter([OperationalError("the connection is lost")])

    def cut_off(go_on: Callable[..., Any], *arguments: Any) -> Any:
        for error in cut:
            raise error
        return go_on(*arguments)

    with connection.execute_wrapper(cut_off):
        run_id = run._send(0, 1)
    assert [each.id for each in TaskRun.objects.all()] == [run_id]


def test_a_run_of_which_nobody_knows_whether_it_was_sent_is_not_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    known = uuid7()
    execute.using(run_id=known).send(milliseconds=1)
    monkeypatch.setattr(run, "uuid7", lambda: known)
    assert run._send(0, 1) == known
    assert [each.id for each in TaskRun.objects.all()] == [known]

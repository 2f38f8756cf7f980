"""What happens to runs when the processes that execute them die, stall or are replaced."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection, transaction

from project.tasks.batches import Batch
from project.tasks.chains import chain
from project.tasks.models import TaskRun, Worker
from project.tasks.policy import MAX_DEATHS
from tests.acceptance import tasks
from tests.acceptance.processes import Running, Service
from tests.acceptance.tasks import Diary
from tests.eventually import eventually


@pytest.fixture
def diary(service: Service, tmp_path: Path) -> Diary:
    """What the tasks in the service's processes do."""
    diary = Diary(tmp_path)
    service.environment |= diary.environment
    return diary


def processes_of(pool: Running) -> list[int]:
    """Return the ids of a pool's living worker processes."""
    pids = Worker.objects.filter(kind=Worker.Kind.WORKER).values_list("pid", flat=True)
    return [pid for pid in pids if _is_in(pool, pid)]


def _is_in(pool: Running, pid: int) -> bool:
    try:
        return os.getpgid(pid) == pool.pid
    except ProcessLookupError:
        return False


def kill_one_of(pool: Running) -> None:
    """Kill one of a pool's worker processes, once it has some."""
    os.kill(random.choice(eventually(lambda: processes_of(pool), timeout=30)), signal.SIGKILL)


def state_of(run_id: UUID) -> str:
    return TaskRun.objects.values_list("state", flat=True).get(id=run_id)


@pytest.mark.long
def test_a_stalled_worker_whose_runs_were_taken_over_cannot_interfere(service: Service, diary: Diary) -> None:
    stalled = service.worker(threads=2)
    overtaken, endless = tasks.wait.send(label="overtaken"), tasks.wait.send(label="endless")
    eventually(lambda: len(diary.read("began")) == 2)
    stalled.pause()
    service.worker(threads=2)
    eventually(lambda: len(diary.read("began")) == 4, timeout=30)
    diary.allow("overtaken-1")
    stalled.resume()

    eventually(lambda: diary.read("interrupted") == ["ClaimLost"])
    eventually(lambda: "outcome_dropped" in stalled.output or "claim_lost" in stalled.output)
    assert diary.read("ended") in ([], ["overtaken"])
    assert state_of(overtaken.run_id) == state_of(endless.run_id) == TaskRun.State.RUNNING
    diary.allow("overtaken")
    diary.allow("endless")
    assert overtaken.result(timeout=10) == endless.result(timeout=10) == "attempt 2"


def test_a_run_that_kills_its_worker_three_times_is_dead_and_the_pool_recovers(service: Service, diary: Diary) -> None:
    service.worker()
    poison = tasks.crash.send()
    eventually(lambda: state_of(poison.run_id) == TaskRun.State.DEAD, timeout=40)
    assert len(set(diary.processes("crashed"))) == 3
    run = TaskRun.objects.get(id=poison.run_id)
    assert (run.deaths, run.error_type) == (3, "WorkerDied")
    assert tasks.note.send(label="well").result(timeout=20) == "well"


def test_a_run_that_kills_its_worker_takes_no_other_run_with_it(service: Service, diary: Diary) -> None:
    service.worker(processes=1, threads=4)
    others = tasks.linger.send_many([tasks.linger.call(label=str(number)) for number in range(3)])
    poison = tasks.crash.send(company=3)

    assert [other.result(timeout=40) for other in others] == ["attempt 3"] * 3
    eventually(lambda: state_of(poison.run_id) == TaskRun.State.DEAD, timeout=30)


@pytest.mark.long
def test_a_run_on_its_last_chance_has_a_process_to_itself_and_holds_up_no_other(service: Service, diary: Diary) -> None:
    pool = service.worker(processes=1, threads=2)
    long = tasks.wait.send(label="long")
    eventually(lambda: diary.read("began") == ["long"])
    suspect = TaskRun.objects.create(
        task="acceptance.wait", queue="default", arguments={"label": "suspect"}, deaths=MAX_DEATHS - 1
    )
    eventually(lambda: diary.read("began") == ["long", "suspect"], timeout=20)
    member, alone = diary.processes("began")
    assert member != alone
    assert tasks.note.send(label="well").result(timeout=5) == "well"
    diary.allow("suspect")
    eventually(lambda: state_of(suspect.id) == TaskRun.State.SUCCEEDED)
    pool.wait_for("last_chance_process_ended")
    assert state_of(long.run_id) == TaskRun.State.RUNNING
    diary.allow("long")
    long.result(timeout=10)


def test_old_processes_are_replaced_and_what_they_run_is_not_cut(service: Service, diary: Diary) -> None:
    pool = service.manage("rundramatiq", "--processes", "1", "--threads", "2", "--max-runs", "5", "--skip-logging")
    long = tasks.wait.send(label="long")
    eventually(lambda: diary.read("began") == ["long"], timeout=30)
    tasks.note.send_many([tasks.note.call(label="first") for _ in range(5)])
    pool.wait_for("worker_stopping")
    (old,) = set(diary.processes("noted"))
    later = tasks.note.send(label="later")
    diary.allow("long")

    assert later.result(timeout=30) == "later"
    assert diary.processes("noted")[-1] != old
    assert diary.read("noted") == [*["first"] * 5, "later"]
    assert long.result() == "attempt 1"


@pytest.mark.long
def test_a_batch_sends_one_callback_though_workers_are_killed(service: Service, diary: Diary) -> None:
    pool = service.worker(processes=2, threads=4)
    batch = Batch.send([tasks.member.call(number=n) for n in range(1000)], then=tasks.note.call(label="all done"))
    for done in (100, 400, 700):
        eventually(lambda done=done: batch.progress().succeeded >= done, timeout=30)  # type: ignore[misc]
        kill_one_of(pool)

    eventually(lambda: diary.read("noted"), timeout=30)
    assert batch.progress().succeeded == 1000
    assert diary.read("noted") == ["all done"]
    assert TaskRun.objects.filter(task="acceptance.note").count() == 1


def test_a_chain_goes_on_though_everything_dies_between_two_steps(service: Service, diary: Diary) -> None:
    pool = service.worker(threads=1)
    sent = chain(tasks.double.call(1), tasks.double, tasks.double)
    eventually(lambda: processes_of(pool))
    with never_committed(sent.messages[1].run_id):
        # The worker has recorded the first step's success and waits to insert the second, in one transaction.
        eventually(waiting_inserts)
        kill_one_of(pool)
        for pid in waiting_inserts():
            connection.cursor().execute("SELECT pg_terminate_backend(%s)", [pid])

    assert sent.result(timeout=30) == 8
    assert diary.read("doubled") == ["1", "1", "2", "4"]


@contextmanager
def never_committed(run_id: UUID) -> Iterator[None]:
    """Insert a run and take it back at the end; who inserts the same one meanwhile has to wait."""
    with transaction.atomic():
        TaskRun.objects.create(id=run_id, task="acceptance.double", queue="none")
        yield
        transaction.set_rollback(True)


def waiting_inserts() -> list[int]:
    """Return the database's processes that wait to insert a run."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            " AND query LIKE 'INSERT INTO tasks_taskrun%'"
        )
        return [pid for (pid,) in cursor.fetchall()]


@pytest.mark.long
def test_max_concurrency_holds_though_a_worker_is_killed(service: Service, diary: Diary) -> None:
    pool = service.worker(threads=4)
    messages = [tasks.single.send(label="one"), tasks.single.send(label="two")]
    eventually(lambda: diary.read("began"))
    kill_one_of(pool)
    eventually(lambda: len(diary.read("began")) == 2, timeout=30)
    assert TaskRun.objects.filter(task="acceptance.single", state=TaskRun.State.RUNNING).count() == 1
    diary.allow("one")
    diary.allow("two")
    for message in messages:
        message.result(timeout=20)

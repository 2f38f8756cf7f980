"""Async tasks in real processes: hundreds at once, and what becomes of them when their process ends."""

import os
import signal
import time
from pathlib import Path

import pytest

from project.tasks.errors import TaskFailed
from project.tasks.models import TaskRun
from tests.acceptance import tasks
from tests.acceptance.processes import Running, Service
from tests.acceptance.tasks import Diary
from tests.eventually import eventually

#: Seconds; with as many at once as there are threads they would take ten minutes. Alone on two cores it is 3 s.
SOON = 15.0


def members(worker: Running) -> list[int]:
    """Give the ids of a pool's worker processes."""
    return [int(pid) for pid in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]


@pytest.fixture
def diary(service: Service, tmp_path: Path) -> Diary:
    """What the tasks do in the service's processes."""
    diary = Diary(tmp_path)
    service.environment |= diary.environment
    return diary


def began(diary: Diary, count: int) -> bool:
    return eventually(lambda: len(diary.read("began")) >= count, timeout=20)


@pytest.mark.usefixtures("diary")
def test_two_thousand_tasks_that_wait_a_second_end_within_seconds(service: Service) -> None:
    service.worker("--async-concurrency", "500", processes=2)
    start = time.monotonic()
    tasks.sleep_async.send_many([tasks.sleep_async.call(number=number) for number in range(2000)])

    done = TaskRun.objects.filter(state="succeeded")
    eventually(lambda: done.count() == 2000, timeout=SOON, every=0.1)
    print(f"2,000 tasks of one second: {time.monotonic() - start:.1f} s")
    assert set(done.values_list("attempts", flat=True)) == {1}


def test_what_a_killed_process_had_on_its_loop_runs_again(service: Service, diary: Diary) -> None:
    worker = service.worker("--async-concurrency", "200", processes=1)
    labels = [str(number) for number in range(200)]
    messages = tasks.linger_async.send_many([tasks.linger_async.call(label=label) for label in labels])
    began(diary, 200)
    os.kill(members(worker)[0], signal.SIGKILL)
    began(diary, 400)
    for label in labels:
        diary.allow(label)

    assert {message.result(timeout=20) for message in messages} == {"attempt 2"}
    assert set(TaskRun.objects.values_list("deaths", "state")) == {(1, "succeeded")}


@pytest.mark.long
def test_a_process_that_stops_finishes_its_coroutines_and_gives_back_the_others(service: Service, diary: Diary) -> None:
    worker = service.worker("--async-concurrency", "3", processes=1)
    messages = tasks.linger_async.send_many([tasks.linger_async.call(label="it") for _ in range(10)])
    began(diary, 3)
    os.kill(worker.pid, signal.SIGTERM)
    worker.wait_for("worker_stopping")
    diary.allow("it")

    assert worker.wait() == 0
    assert len(diary.read("ended")) == 3
    assert (
        sorted(TaskRun.objects.values_list("state", "attempts", "deaths"))
        == [("queued", 0, 0)] * 7 + [("succeeded", 1, 0)] * 3
    )
    service.worker(processes=1)
    assert {message.result(timeout=10) for message in messages} == {"attempt 1"}


@pytest.mark.long
def test_a_cancelled_coroutine_is_told_so_where_it_waits(service: Service, diary: Diary) -> None:
    service.worker(processes=1)
    message = tasks.linger_async.send(label="it")
    began(diary, 1)
    service.command("tasks", "cancel", str(message.run_id))

    eventually(lambda: diary.read("interrupted") == ["TaskCancelled"])
    eventually(lambda: TaskRun.objects.get().state == "cancelled")


@pytest.mark.long
def test_a_coroutine_that_blocks_the_loop_costs_its_process_and_no_other_run(service: Service, diary: Diary) -> None:
    worker = service.worker(processes=1)
    others = [tasks.linger_async.send(label="other") for _ in range(5)]
    began(diary, 5)
    blocking = tasks.block.send(label="blocking")
    worker.wait_for("event_loop_blocked")
    diary.allow("other")

    with pytest.raises(TaskFailed, match="EventLoopBlocked: It blocked the event loop for 1 s"):
        blocking.result(timeout=20)
    assert {message.result(timeout=20) for message in others} == {"attempt 2"}
    assert TaskRun.objects.filter(deaths__gt=0).count() == 0
    eventually(lambda: "process_died" in worker.output)

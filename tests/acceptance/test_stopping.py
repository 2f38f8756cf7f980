"""Stopping a pool of real workers: one request drains, a second one ends it at once."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from project.embedded.server import Server
from tests.acceptance.processes import Running, Service, pause
from tests.acceptance.tasks import Diary
from tests.eventually import eventually

#: "Within a second", on a machine that has other things to do.
AT_ONCE = 3.0


@pytest.fixture
def diary(tmp_path: Path, service: Service) -> Iterator[Diary]:
    """What the tasks do in the service's processes."""
    diary = Diary(tmp_path)
    service.environment |= diary.environment
    yield diary
    diary.allow("it")


def send_and_wait_for_start(service: Service, diary: Diary) -> None:
    service.command("shell", "--no-imports", "-c", "from tests.acceptance import tasks; tasks.wait.send(label='it')")
    eventually(lambda: diary.read("began") == ["it"])


def members(worker: Running) -> list[int]:
    """Give the ids of a pool's worker processes."""
    return [int(pid) for pid in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]


def lives(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_a_signal_to_the_whole_group_is_one_request_and_the_next_one_ends_all(service: Service, diary: Diary) -> None:
    worker = service.worker(processes=2)
    send_and_wait_for_start(service, diary)
    processes = members(worker)

    os.killpg(worker.pid, signal.SIGTERM)
    worker.wait_for("worker_stopping", times=2)
    eventually(lambda: sum(map(lives, processes)) == 1)
    assert worker.exit_code is None

    os.killpg(worker.pid, signal.SIGTERM)
    began = time.monotonic()
    eventually(lambda: worker.exit_code is not None and not any(map(lives, processes)))
    assert time.monotonic() - began < AT_ONCE
    assert worker.exit_code == 1
    assert diary.read("ended") == []


@pytest.mark.long
def test_what_runs_is_finished_after_a_signal_to_the_whole_group(service: Service, diary: Diary) -> None:
    worker = service.worker(processes=2)
    send_and_wait_for_start(service, diary)

    os.killpg(worker.pid, signal.SIGTERM)
    worker.wait_for("worker_stopping", times=2)
    diary.allow("it")

    eventually(lambda: worker.exit_code is not None)
    assert worker.exit_code == 0
    assert diary.read("ended") == ["it"]


@pytest.mark.long
@pytest.mark.parametrize("away", ["database", "broker"])
def test_a_second_signal_ends_a_process_that_waits_for_what_is_away(
    service: Service, private_postgres: Server, private_valkey: Server, away: str
) -> None:
    worker = service.worker(processes=1)
    (process,) = members(worker)
    pause(private_postgres.pid if away == "database" else private_valkey.pid)

    # To the process alone: its supervisor, told twice, would kill it.
    os.kill(process, signal.SIGTERM)
    worker.wait_for("worker_stopping")
    os.kill(process, signal.SIGTERM)
    began = time.monotonic()
    eventually(lambda: not lives(process), timeout=30)
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.long
def test_a_worker_that_is_told_twice_by_hand_ends_and_another_takes_its_place(service: Service) -> None:
    worker = service.worker(processes=1)
    (process,) = members(worker)

    os.kill(process, signal.SIGTERM)
    worker.wait_for("worker_stopping")
    os.kill(process, signal.SIGTERM)

    eventually(lambda: not lives(process), timeout=AT_ONCE)
    worker.wait_for("worker_ready", times=2)


@pytest.mark.long
def test_a_worker_one_of_whose_threads_died_ends_and_another_takes_its_place(service: Service, diary: Diary) -> None:
    worker = service.worker(processes=1)
    (process,) = members(worker)

    service.command("shell", "--no-imports", "-c", "from tests.acceptance import tasks; tasks.break_thread.send()")

    worker.wait_for("worker_threads_died")
    eventually(lambda: not lives(process), timeout=15)
    worker.wait_for("worker_ready", times=2)

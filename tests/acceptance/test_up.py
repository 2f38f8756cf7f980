"""`manage.py up`: everything starts, answers, survives, and leaves nothing behind."""

import fcntl
import json
import os
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from project.embedded.server import free_port
from project.embedded.spawn import take_over
from tests.acceptance.processes import Running
from tests.eventually import eventually

#: What the issue allows between the command and the first answer when the data is there; a loaded machine gets more.
WARM_START_SECONDS = 5.0
SLOW_MACHINE = 4.0


class Up:
    """Runs `manage.py up` on one data directory, again and again."""

    def __init__(self, directory: Path) -> None:
        self.mark = f"up-{uuid4().hex}"
        self.data = directory / self.mark
        self.port = free_port()
        self.runs: list[Running] = []
        self._directory = directory

    def start(self, *options: str, **variables: str) -> Running:
        """Start another run, without waiting for anything."""
        environment = {**os.environ, "ENVIRONMENT": "development", "ENV_FILE": os.devnull, **variables}
        for name in {"DATABASE_URL", "REDIS_URL"} - set(variables):
            environment.pop(name, None)
        run = Running(
            "up",
            [sys.executable, "manage.py", "up", f"--data-dir={self.data}", f"--port={self.port}", *options],
            environment=environment,
            log=self._directory / f"{len(self.runs)}.log",
            url=f"http://127.0.0.1:{self.port}",
        )
        self.runs.append(run)
        return run

    def started(self, *options: str) -> Running:
        """Start another run and wait until it answers."""
        run = self.start(*options)
        run.wait_for("Ctrl-C stops everything", timeout=60)
        return run

    def left(self) -> list[str]:
        """Return what lives of all runs: locks that something holds, and processes with our directory in hand."""
        held = [lock.name for lock in self.data.glob("**/*.lock") if is_held(lock)]
        return held + [" ".join(found.cmdline()) for found in psutil.process_iter() if self._is_ours(found)]

    def leader(self, lock: str) -> int:
        """Return the id of the process that holds a lock."""
        return int((self.data / f"{lock}.lock").read_text())

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return any(self.mark in text for text in [*process.cmdline(), *process.environ().values()])
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def is_held(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    # Not pytest's temporary directory; see server_directory.
    with tempfile.TemporaryDirectory(prefix="servers-", ignore_cleanup_errors=True) as directory:
        up = Up(Path(directory))
        yield up
        for run in up.runs:
            run.kill_group()
        for lock in up.data.glob("**/*.lock"):
            os.close(take_over(lock))
        eventually(lambda: not up.left(), timeout=30)


@pytest.fixture
def running(up: Up) -> Running:
    """One run that several tests look at."""
    if not up.runs or up.runs[-1].exit_code is not None:
        up.started("--processes=1", "--threads=2")
    return up.runs[-1]


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def sign_in(run: Running, username: str) -> str:
    body = json.dumps({"username": username, "password": username}).encode()
    request = urllib.request.Request(f"{run.url}/v1/auth/token", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(json.load(response)["access_token"])


def todos(run: Running) -> int:
    request = urllib.request.Request(f"{run.url}/v1/todos", headers={"Authorization": f"Bearer {sign_in(run, 'demo')}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return int(json.load(response)["count"])


def test_everything_works_after_one_command(running: Running) -> None:
    eventually(lambda: get(f"{running.url}/readyz") == 200, timeout=20)
    assert get(f"{running.url}/docs") == 200
    assert get(f"{running.url}/static/admin/css/base.css") == 200


def test_a_demo_user_has_todos(running: Running) -> None:
    assert "demo with password demo" in running.output
    assert todos(running) == 5


def test_a_second_run_on_the_same_data_is_refused_in_one_line(up: Up, running: Running) -> None:
    second = up.start()
    up.runs.remove(second)
    eventually(lambda: second.exit_code is not None)
    assert second.exit_code == 1
    assert second.output == f"up: Another run uses {up.data}. Stop it, or choose another directory with --data-dir.\n"
    assert running.exit_code is None


def test_a_killed_valkey_is_started_again(up: Up, running: Running) -> None:
    os.kill(up.leader("valkey/valkey"), signal.SIGKILL)
    running.wait_for("Valkey ended; starting it again")
    eventually(lambda: get(f"{running.url}/readyz") == 200, timeout=20)


def test_sigterm_stops_in_order_and_leaves_nothing(up: Up, running: Running) -> None:
    assert running.terminate(timeout=60) == 0
    stops = [line.split("stopping ")[1] for line in running.output.splitlines() if "system    | stopping " in line]
    assert stops == ["web", "scheduler", "worker"]
    assert up.left() == []


def test_a_later_run_starts_fast_and_finds_its_data(up: Up) -> None:
    before = time.monotonic()
    run = up.start()
    eventually(lambda: answers(run), timeout=WARM_START_SECONDS * SLOW_MACHINE)
    print(f"warm start to first answer: {time.monotonic() - before:.1f} s")
    assert todos(run) == 5
    assert run.terminate(timeout=60) == 0


def test_the_end_of_one_program_ends_all_and_leaves_nothing(up: Up) -> None:
    run = up.started("--processes=2", "--threads=2")
    os.kill(up.leader("worker"), signal.SIGKILL)
    eventually(lambda: run.exit_code is not None, timeout=60)
    assert run.exit_code == 1
    assert "worker ended with -9; stopping everything" in run.output
    assert up.left() == []


@pytest.mark.long
def test_a_run_after_a_killed_one_replaces_what_was_left(up: Up) -> None:
    killed = up.started("--processes=1", "--threads=2")
    valkey = up.leader("valkey/valkey")
    # One that hangs keeps its port.
    os.killpg(up.leader("web"), signal.SIGSTOP)
    killed.kill()
    run = up.started("--processes=1", "--threads=2")
    assert todos(run) == 5
    assert not psutil.pid_exists(valkey)
    os.kill(run.pid, signal.SIGINT)
    eventually(lambda: run.exit_code is not None, timeout=60)
    assert up.left() == []


def test_a_used_port_is_reported_in_one_line(up: Up) -> None:
    with socket.create_server(("127.0.0.1", up.port)):
        run = up.start()
        eventually(lambda: run.exit_code is not None, timeout=30)
    assert run.exit_code == 1
    assert run.output == f"up: Port {up.port} cannot be used (Address already in use). Choose another with --port.\n"


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("DATABASE_URL", "postgres://nobody:hunter2@127.0.0.1:1/nothing"),
        ("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0"),
    ],
)
def test_a_server_that_does_not_answer_is_reported_in_one_line(up: Up, variable: str, address: str) -> None:
    run = up.start(**{variable: address})
    eventually(lambda: run.exit_code is not None, timeout=60)
    assert run.exit_code == 1
    assert run.output.startswith(f"up: The server in {variable} does not answer")
    assert run.output.count("\n") == 1
    assert "hunter2" not in run.output
    eventually(lambda: up.left() == [])


def answers(run: Running) -> bool:
    try:
        return get(f"{run.url}/livez") == 200
    except OSError:
        return False

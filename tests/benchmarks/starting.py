"""How long a worker takes to its first task, how much memory it has then, and how long a look at the runs takes."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import psutil
from django.core.management import call_command
from django.utils.module_loading import import_string

PROCESSES = 2
POOL = ["manage.py", "rundramatiq", "--processes", str(PROCESSES), "--threads", "4"]
COMMANDS = {
    "manage.py tasks list": ["manage.py", "tasks", "list"],
    "manage.py schedule list": ["manage.py", "schedule", "list"],
    "manage.py check": ["manage.py", "check"],
    "manage.py migrate": ["manage.py", "migrate"],
}
GIVE_UP_SECONDS = 30.0


def run(*, quick: bool = False) -> dict[str, float]:
    """Measure each several times, in turn.

    Args:
        quick: Once instead of seven times.

    Returns:
        Medians: the seconds from a pool's start to the first task's, the megabytes that a worker process has of its
        own then (its PSS), and the seconds that commands take.
    """
    # Read below, and by what is started.
    os.environ |= {"DJANGO_SETTINGS_MODULE": "project.settings", "ENVIRONMENT": "test"}
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    rounds = [_round() for _ in range(1 if quick else 7)]
    return {name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]}


def _round() -> dict[str, float]:
    ping: Any = import_string("project.health.tasks.ping").send()
    sent = import_string("project.tasks.models.TaskRun").objects.filter(pk=ping.run_id)
    started = time.time()
    with _pool() as pool:
        began = _began(sent)
        figures = {"cold start to the first task": began - started, "megabytes of a worker": _megabytes(pool)}
    return figures | {name: _seconds(command) for name, command in COMMANDS.items()}


@contextmanager
def _pool() -> Iterator[psutil.Process]:
    pool = psutil.Popen([sys.executable, *POOL], stdout=subprocess.DEVNULL)
    try:
        yield pool
    finally:
        pool.terminate()
        pool.wait(GIVE_UP_SECONDS)


def _began(run: Any) -> float:
    """Wait until a run has succeeded, and return when it had been claimed: the database has the same clock."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not run.filter(state="succeeded").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("The pool does not work.")
        time.sleep(0.005)
    began: float = run.get().started_at.timestamp()
    return began


def _megabytes(pool: psutil.Process) -> float:
    """Return the largest worker's share of the memory; what several processes share is divided among them."""
    return max(_proportional_bytes(worker.pid) for worker in _workers(pool)) / 1e6


def _workers(pool: psutil.Process) -> list[psutil.Process]:
    """Wait until every worker of a pool has signed on, and return them."""
    rows = import_string("project.tasks.models.Worker").objects
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while (workers := pool.children()) and time.monotonic() < deadline:
        if rows.filter(pid__in=[worker.pid for worker in workers]).count() == PROCESSES:
            return workers
        time.sleep(0.02)
    raise TimeoutError("Not every process of the pool works.")


def _proportional_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _seconds(command: list[str]) -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started

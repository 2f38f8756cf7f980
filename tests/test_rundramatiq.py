"""Our `rundramatiq` in the place of django-dramatiq's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands

from project.pool.management.commands.rundramatiq import Command
from project.pool.worker_checks import discover_modules
from project.pool.worker_process import parse


def command_line(*arguments: str) -> str:
    command = Command()
    options = vars(command.create_parser("manage.py", "rundramatiq").parse_args(arguments))
    return " ".join(command.supervisor_command(options))


def test_it_is_ours() -> None:
    assert get_commands()["rundramatiq"] == "project.pool"


def test_workers_of_the_service_know_no_task_of_the_drill() -> None:
    modules = discover_modules()
    assert "todo.tasks" in modules
    assert "project.drill.tasks" not in modules


def test_the_supervisor_gets_what_concerns_the_pool_and_each_worker_the_rest() -> None:
    supervisor, _, worker = command_line(
        *("--processes=3", "--threads=5", "--queues", "a", "b", "--max-runs=1000", "--max-memory=512"),
        "--async-concurrency=300",
        *("--pid-file=/tmp/pid", "--log-file=/tmp/log", "--worker-shutdown-timeout=50000", "--skip-logging"),
    ).partition(" -- ")
    pool = "--processes 3 --shutdown-timeout 50000 --pid-file /tmp/pid --log-file /tmp/log"
    assert supervisor.endswith(f"-m project.pool.supervisor {pool}")
    assert "--max-runs 1000 --max-memory 512 --threads 5 --async-concurrency 300" in worker
    assert "--worker-shutdown-timeout 50000 --skip-logging" in worker
    assert worker.endswith("--path . --queues a b")
    assert "-m project.pool.worker_process " in worker


def test_a_supervisor_of_an_earlier_release_can_start_a_process_of_this_one() -> None:
    # SIGHUP replaces the processes with the code that is there now, and not the supervisor. It named our broker.
    earlier = ["--threads", "5", "project.pool.worker_process:load", "todo.tasks", "--path", ".", "--alone"]
    ours, options = parse(earlier)
    assert (ours.alone, options.threads, options.modules) == (True, 1, ["todo.tasks"])


def test_functions_that_an_option_names_get_processes_of_their_own() -> None:
    supervisor, _, _ = command_line("--fork-function", "some.module:function").partition(" -- ")
    assert "--fork-function some.module:function" in supervisor


def test_a_pool_is_started_without_loading_what_only_its_processes_need() -> None:
    loads = "import project.pool.management.commands.rundramatiq, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dramatiq", "psycopg", "redis", "structlog", "project.settings", "project.tasks.models"} & set(loaded)


def test_a_second_pool_with_the_same_pid_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pid_file = tmp_path / "pid"
    pid_file.write_text(str(os.getppid()))
    with pytest.raises(SystemExit, match="4"):
        call_command("rundramatiq", pid_file=str(pid_file))
    assert f"already running with PID {os.getppid()}" in capsys.readouterr().err

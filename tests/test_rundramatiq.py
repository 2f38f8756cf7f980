"""Our `rundramatiq` in the place of django-dramatiq's."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, get_commands
from dramatiq.broker import get_broker
from dramatiq.middleware import Middleware

from project.pool.management.commands.rundramatiq import Command
from project.pool.worker_process import parse


def command_line(*arguments: str) -> str:
    command = Command()
    options = vars(command.create_parser("manage.py", "rundramatiq").parse_args(arguments))
    return " ".join(command.supervisor_command(options))


def serve() -> None:
    """What some middleware wants to have run in a process of its own."""


class Serving(Middleware):
    @property
    def forks(self) -> list[Any]:
        return [serve]


@pytest.fixture
def serving() -> Iterator[None]:
    get_broker().middleware.append(Serving())
    yield
    get_broker().middleware.pop()


def test_it_is_ours() -> None:
    assert get_commands()["rundramatiq"] == "project.pool"


def test_workers_of_the_service_know_no_task_of_the_drill() -> None:
    modules = Command().discover_tasks_modules()
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
    assert "todo.tasks" in worker


def test_a_supervisor_of_an_earlier_release_can_start_a_process_of_this_one() -> None:
    # SIGHUP replaces the processes with the code that is there now, and not the supervisor. It named our broker.
    earlier = ["--threads", "5", "project.pool.worker_process:load", "todo.tasks", "--path", ".", "--alone"]
    ours, options = parse(earlier)
    assert (ours.alone, options.threads, options.modules) == (True, 1, ["todo.tasks"])


def test_functions_that_middleware_or_an_option_names_get_processes_of_their_own(serving: None) -> None:
    supervisor, _, _ = command_line("--fork-function", "some.module:function").partition(" -- ")
    assert "--fork-function some.module:function" in supervisor
    assert "--fork-function tests.test_rundramatiq:serve" in supervisor


def test_a_second_pool_with_the_same_pid_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pid_file = tmp_path / "pid"
    pid_file.write_text(str(os.getppid()))
    with pytest.raises(SystemExit, match="4"):
        call_command("rundramatiq", pid_file=str(pid_file))
    assert f"already running with PID {os.getppid()}" in capsys.readouterr().err

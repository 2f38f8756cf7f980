"""django-dramatiq's `rundramatiq`, with a pool that recovers by itself.

It runs without Django being set up: loading the service here, where nothing of it is used, took as long as the worker
processes need for it afterwards. They check what this command cannot; see `project.pool.worker_checks`.

Every option keeps its meaning. What Dramatiq's own master does when one of its processes dies, which is to stop
all the others, and what happens to them when the master dies, which is nothing, `project.pool.supervisor` does better.
"""

import os
import sys
from argparse import ArgumentTypeError
from typing import Any

import django
from django.core.management.base import CommandParser
from django_dramatiq.management.commands.rundramatiq import Command as StockCommand

from project.environment import environment


class Command(StockCommand):  # type: ignore[misc]  # django-dramatiq has no types
    """Run worker processes and keep them running."""

    help = "Runs Dramatiq workers, starts those again that die, and recycles those that have grown old."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add to django-dramatiq's options."""
        super().add_arguments(parser)
        parser.add_argument(
            "--max-runs", type=int, default=0, help="Replace a process, drained, after so many runs; 0: never"
        )
        parser.add_argument(
            "--max-memory", type=int, default=0, help="Replace a process, drained, above so many MiB; 0: never"
        )
        parser.add_argument(
            "--async-concurrency",
            type=_above_0,
            default=environment.async_concurrency,
            help="Async tasks that each process runs at once, beside its threads (%(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Become the supervisor; reloading on changes and gevent are left to Dramatiq's own command line."""
        if options["watch_dir"] or options["use_gevent"] or sys.platform == "win32":
            django.setup()
            super().handle(*args, **options)
            return
        command = self.supervisor_command(options)
        _write_pid_file(options["pid_file"])
        self.stdout.write(f" * Running workers: {' '.join(command[1:])}\n\n")
        self.stdout.flush()
        os.execv(sys.executable, command)  # noqa: S606 - this very interpreter

    def supervisor_command(self, options: dict[str, Any]) -> list[str]:
        """Return what this process becomes.

        Args:
            options: What the command line was parsed to.
        """
        own = {
            "--processes": options["processes"],
            "--shutdown-timeout": options["worker_shutdown_timeout"],
            "--pid-file": options["pid_file"],
            "--log-file": options["log_file"],
        }
        command = [sys.executable, "-m", "project.pool.supervisor", *_given(own)]
        command += ["--json-logs"] * environment.logs_are_json
        for function in options["forks"]:
            command += ["--fork-function", function]
        return [*command, "--", sys.executable, "-m", "project.pool.worker_process", *_arguments(options)]


def _arguments(options: dict[str, Any]) -> list[str]:
    """Return Dramatiq's own arguments, and ours, for each worker process."""
    own = {
        "--max-runs": options["max_runs"],
        "--max-memory": options["max_memory"],
        "--threads": options["threads"],
        "--async-concurrency": options["async_concurrency"],
        "--worker-shutdown-timeout": options["worker_shutdown_timeout"],
    }
    flags = ["-v"] * (options["verbosity"] - 1) + ["--skip-logging"] * options["skip_logging"]
    queues = ["--queues", *options["queues"]] if options["queues"] else []
    # Where Dramatiq wants the broker's module first, and modules of tasks, which each process finds by itself.
    return [*_given(own), *flags, "django_dramatiq.setup", "--path", *options["path"], *queues]


def _above_0(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("at least 1")
    return number


def _given(options: dict[str, Any]) -> list[str]:
    return [text for name, value in options.items() if value for text in (name, str(value))]


def _write_pid_file(path: str | None) -> None:
    """Write this process's id, which the supervisor keeps, unless another pool that lives has written its own."""
    if not path:
        return
    from dramatiq.cli import RET_PIDFILE, setup_pidfile  # noqa: PLC0415 - loads all of Dramatiq

    try:
        setup_pidfile(path)
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(RET_PIDFILE)

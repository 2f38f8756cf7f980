"""One worker process of a pool: Dramatiq's own, with a line to its supervisor in the place of standard input."""

from __future__ import annotations

import argparse
import io
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace

from dramatiq import cli

from project.pool.connection import SupervisorConnection
from project.pool.protocol import Ready
from project.pool.stop_requests import drain_once, end_at_second_sigterm, ending_in_time


class _Output(io.TextIOWrapper):
    """Where everything goes that the process prints, line by line, to its very end."""

    def close(self) -> None:
        """Stay open: Dramatiq closes it while threads may still have something to say."""
        self.flush()


_options = argparse.Namespace()


def load() -> None:
    """Load the service and its broker; Dramatiq calls it where it would load the broker itself."""
    drain_once()
    import django_dramatiq.setup  # noqa: F401, PLC0415 - sets Django up
    from dramatiq.broker import get_broker  # noqa: PLC0415

    from project.pool.last_chances import LeaveWhenIdle, ReportLastChances  # noqa: PLC0415
    from project.pool.member import Membership  # noqa: PLC0415
    from project.tasks.upkeep.process import WorkerProcess  # noqa: PLC0415
    from project.tasks.upkeep.roles import Role  # noqa: PLC0415

    broker, connection = get_broker(), _options.connection
    (process,) = [middleware for middleware in broker.middleware if isinstance(middleware, WorkerProcess)]
    process.role = Role.LAST_CHANCES if _options.alone else Role.ALL_BUT_LAST_CHANCES
    broker.add_middleware(LeaveWhenIdle() if _options.alone else ReportLastChances(connection))
    broker.add_middleware(Membership(connection, max_runs=_options.max_runs, max_memory=_options.max_memory))


def main(arguments: Sequence[str]) -> None:
    """Run a worker process, or with `--run-fork` a function that some middleware wants to have run in one.

    Args:
        arguments: What `_own` declares, and then Dramatiq's own.
    """
    theirs = _own().parse_known_args(arguments, namespace=_options)[1]
    options = cli.make_argument_parser().parse_args(theirs)
    sys.path[:0] = options.path
    options.threads = 1 if _options.alone else options.threads
    cli.try_block_signals()
    end_at_second_sigterm()
    _options.connection = SupervisorConnection.over_standard_input()
    output = _Output(os.fdopen(os.dup(sys.stderr.fileno()), "wb", buffering=0), write_through=True, errors="replace")
    if _options.run_fork:
        _options.connection.listen(lambda _message: None)
        _options.connection.say(Ready())
        cli.fork_process(options, 0, _options.run_fork, output)
    # The functions that middleware wants to run are known before the pool starts: nobody collects them here.
    collected = SimpleNamespace(initialized=True, get_lock=nullcontext)
    with ending_in_time():
        cli.worker_process(options, 0, output, collected, threading.Event())


def _own() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="worker_process", add_help=False, allow_abbrev=False)
    parser.add_argument("--max-runs", type=int, default=0)
    parser.add_argument("--max-memory", type=int, default=0, help="in MiB")
    parser.add_argument("--alone", action="store_true", help="run what is on its last chance, one after the other")
    parser.add_argument("--run-fork", help="'module:function'")
    return parser


if __name__ == "__main__":
    # Dramatiq finds `load` by its name, so that name must be of this very module.
    sys.modules["project.pool.worker_process"] = sys.modules["__main__"]
    main(sys.argv[1:])

"""One worker process of a pool: `python -m project.pool.worker_process`, started by the supervisor.

Its command line is Dramatiq's own, and a few options of ours. Its standard input is the connection to the supervisor.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import structlog
from dramatiq import Worker, cli
from dramatiq.errors import BrokerConnectionError

from project.loading import loading
from project.pool.connection import SupervisorConnection
from project.pool.protocol import Ready
from project.pool.stop_requests import StopRequests, ending_in_time

log = structlog.get_logger("project.pool.worker_process")  # also as `__main__`


def main(arguments: Sequence[str]) -> None:
    """Run a worker process, or with `--run-fork` a function that some middleware wants to have run in one.

    Args:
        arguments: Ours, and then Dramatiq's own.
    """
    ours, options = parse(arguments)
    sys.path[:0] = options.path
    cli.try_block_signals()
    requests = StopRequests()
    connection = SupervisorConnection.over_standard_input()
    if ours.run_fork:
        connection.listen(lambda _message: None)
        connection.say(Ready())
        cli.fork_process(options, 0, ours.run_fork, _output())
    cli.setup_worker_logging(options, 0, _output())
    with ending_in_time():
        requests.listen()
        worker = _start_worker(ours, options, connection)
        log.info("worker_ready", threads=options.threads)
        requests.asked.wait()
        log.info("worker_stopping", seconds_for_tasks=options.worker_shutdown_timeout / 1000)
        worker.stop(timeout=options.worker_shutdown_timeout)
        worker.broker.close()


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, argparse.Namespace]:
    """Read a command line: our options, and Dramatiq's own.

    Dramatiq's first argument, the broker, is not used. Earlier releases had it name a function of ours, and may have
    started the supervisor that starts this process.

    Args:
        arguments: Both kinds of options in any order.
    """
    parser = argparse.ArgumentParser(prog="worker_process", add_help=False, allow_abbrev=False)
    parser.add_argument("--max-runs", type=int, default=0)
    parser.add_argument("--max-memory", type=int, default=0, help="in MiB")
    parser.add_argument("--async-concurrency", type=int, help="coroutines at once; by default ASYNC_CONCURRENCY")
    parser.add_argument("--alone", action="store_true", help="run what is on its last chance, one after the other")
    parser.add_argument("--run-fork", help="'module:function'")
    ours, theirs = parser.parse_known_args(arguments)
    options = cli.make_argument_parser().parse_args(theirs)
    options.threads = 1 if ours.alone else options.threads
    return ours, options


def _start_worker(ours: argparse.Namespace, options: argparse.Namespace, connection: SupervisorConnection) -> Worker:
    """Load the service and start to take messages; end with Dramatiq's exit codes where that is not possible."""
    try:
        with loading():
            import_module("django_dramatiq.setup")  # sets Django up, without which models cannot be imported
            from project.pool.member import join_pool  # noqa: PLC0415
            from project.pool.worker_checks import check_worker, discover_modules  # noqa: PLC0415

        check_worker()
        broker = join_pool(
            connection,
            only_last_chances=ours.alone,
            max_runs=ours.max_runs,
            max_memory=ours.max_memory,
            async_concurrency=ours.async_concurrency,
        )
        broker.emit_after("process_boot")
        # A supervisor of an earlier release names the modules.
        for module in options.modules or discover_modules():
            import_module(module)
        worker = Worker(broker, queues=options.queues, worker_threads=options.threads)
        worker.start()
    except ImportError:
        log.exception("worker_cannot_start", cure="see which module is missing: is everything installed?")
        sys.exit(cli.RET_IMPORT)
    except BrokerConnectionError:
        log.exception("worker_cannot_start", cure="see whether Redis answers at REDIS_URL")
        sys.exit(cli.RET_CONNECT)
    return worker


def _output() -> io.TextIOWrapper:
    """Return where everything goes that the process prints.

    Nothing is buffered: a thread that still prints while the interpreter ends would make it crash over the buffer.
    """
    return io.TextIOWrapper(os.fdopen(os.dup(2), "wb", buffering=0), write_through=True, errors="replace")


if __name__ == "__main__":
    main(sys.argv[1:])

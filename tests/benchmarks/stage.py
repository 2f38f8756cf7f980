"""The stage: one Valkey, one PostgreSQL, two virtual environments, and processes on them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from project.embedded.postgres import postgres
from project.embedded.valkey import valkey

ROOT = Path(__file__).resolve().parent.parent.parent
BENCH = ROOT / ".bench"
PEERS_PYTHON = BENCH / "venv" / "bin" / "python"
REQUIREMENTS = ROOT / "requirements-bench.txt"
SETTINGS = {
    "ours": "tests.benchmarks.ours.settings",
    "ours_rows": "tests.benchmarks.ours.settings",
    "celery_rows": "tests.benchmarks.systems.celery_settings",
}


@dataclass
class Stage:
    """Where everything runs.

    Args:
        redis_url: The Valkey that all systems use in turn.
        database_url: The PostgreSQL's first database; each system gets one of its own.
        logs: Where the workers' output goes.
    """

    redis_url: str
    database_url: str
    logs: Path
    client: Any = field(init=False)
    prepared: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.client = redis.Redis.from_url(self.redis_url)

    def environment(self, module: str) -> dict[str, str]:
        """Give a system's environment, with a database of its own."""
        name = f"bench_{module}"
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(f'CREATE DATABASE "{name}"')
        return {
            **{key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"},
            **({"DJANGO_SETTINGS_MODULE": SETTINGS[module]} if module in SETTINGS else {}),
            "BENCH_REDIS_URL": self.redis_url,
            "BENCH_DATABASE_URL": f"{self.database_url.rpartition('/')[0]}/{name}",
            "ENV_FILE": os.devnull,
            "LOG_LEVEL": "WARNING",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
        }

    def prepare(self, module: str) -> None:
        """Empty the broker and send a first message; the first time, make the tables too."""
        self.agent(module, "prepare", tables=module not in self.prepared)
        self.prepared.add(module)

    def agent(self, module: str, action: str, **arguments: Any) -> Any:
        """Do one of the agent's actions with a system."""
        command = [str(python_of(module)), "-m", "tests.benchmarks.agent", module, action, json.dumps(arguments)]
        environment = self.environment(module)
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{module} {action} failed:\n{done.stderr[-4000:]}")
        return json.loads(done.stdout.splitlines()[-1])["result"]


def python_of(module: str) -> Path:
    """Give the interpreter that a system runs in: this one for ours."""
    return Path(sys.executable) if module.startswith("ours") else PEERS_PYTHON


@contextmanager
def set_up() -> Iterator[Stage]:
    """Install the peers, start the servers, and stop them at the end."""
    install_peers()
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    directory.chmod(0o755)
    servers = [valkey(directory / "valkey", durable=False), postgres(directory / "postgres")]
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_until_ready()
        yield Stage(redis_url=servers[0].url, database_url=servers[1].url, logs=directory)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def install_peers() -> None:
    """Make the peers' virtual environment as the lock file says, unless it is that already."""
    installed = BENCH / "installed"
    if installed.exists() and installed.read_text() == REQUIREMENTS.read_text():
        return
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(BENCH / "venv")], check=True)
    command = [*uv, "pip", "sync", "--quiet", "--python", str(PEERS_PYTHON), str(REQUIREMENTS)]
    subprocess.run(command, check=True)
    installed.write_text(REQUIREMENTS.read_text())

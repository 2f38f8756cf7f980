"""The stage: one Valkey, one PostgreSQL, and processes on them that end with the run."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psycopg
import redis

from project.embedded.postgres import postgres
from project.embedded.spawn import signal_group, signal_when_parent_dies
from project.embedded.valkey import valkey
from project.environment import Environment
from tests.benchmarks.leftovers import Leftovers
from tests.benchmarks.peers import BENCH, PEERS_PYTHON, ROOT, install_peers, python_of
from tests.benchmarks.system import System

__all__ = ["BENCH", "PEERS_PYTHON", "ROOT", "Stage", "install_peers", "set_up"]

#: The longest action of an agent, in seconds, is a backlog that is sent.
AGENT_SECONDS = 600
#: The service is measured with its defaults, whatever its developer has set.
OUR_VARIABLES = {name.upper() for name in Environment.model_fields} | {"DJANGO_SETTINGS_MODULE"}


@dataclass
class Stage:
    """Where everything runs.

    Args:
        redis_url: The Valkey that all systems use in turn.
        database_url: The PostgreSQL's first database; each system gets one of its own.
        logs: Where the workers' output goes.
        servers: The process ids of Valkey and PostgreSQL.
        leftovers: Ends what a run leaves that is killed.
    """

    redis_url: str
    database_url: str
    logs: Path
    servers: list[int]
    leftovers: Leftovers = field(default_factory=Leftovers)
    client: Any = field(init=False)
    prepared: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.client = redis.Redis.from_url(self.redis_url)

    def database(self, name: str) -> str:
        """Give the address of a database, which is made if need be."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(f'CREATE DATABASE "{name}"')
        return f"{self.database_url.rpartition('/')[0]}/{name}"

    def environment(self, name: str) -> dict[str, str]:
        """Give the environment of processes that have a database of their own."""
        return {
            **{key: value for key, value in os.environ.items() if key not in OUR_VARIABLES},
            "BENCH_REDIS_URL": self.redis_url,
            "BENCH_DATABASE_URL": self.database(f"bench_{name}"),
            "ENV_FILE": os.devnull,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
        }

    def environment_of(self, system: System) -> dict[str, str]:
        """Give a system's environment."""
        environment = self.environment(system.key)
        fields = {"database": environment["BENCH_DATABASE_URL"]}
        settings = {"DJANGO_SETTINGS_MODULE": system.django} if system.django else {}
        return environment | settings | {key: value.format(**fields) for key, value in system.environment.items()}

    def prepare(self, system: System) -> None:
        """Empty the broker and send a first message; the first time, make the tables too."""
        self.agent(system, "prepare", tables=system.key not in self.prepared)
        self.prepared.add(system.key)

    def agent(self, system: System, action: str, **arguments: Any) -> Any:
        """Do one of the agent's actions with a system."""
        module = ["-m", "tests.benchmarks.agent", system.module, action, json.dumps(arguments)]
        told = self.run([str(python_of(system)), *module], self.environment_of(system), seconds=AGENT_SECONDS)
        return told["result"]

    def run(self, command: list[str], environment: dict[str, str], *, seconds: float) -> Any:
        """Run a program and give what its last line says, which is JSON.

        Raises:
            RuntimeError: If it fails or takes longer.
        """
        with ExitStack() as ends:
            said, complained = (ends.enter_context(tempfile.TemporaryFile("w+")) for _ in range(2))
            process = ends.enter_context(self.process(command, environment, said, errors=complained))
            try:
                failed = process.wait(seconds)
            except subprocess.TimeoutExpired:
                failed = 1
            text, errors = (_text(file) for file in (said, complained))
        if failed:
            raise RuntimeError(f"{' '.join(command[-3:])[:200]} failed:\n{errors[-3000:]}")
        return json.loads(text.splitlines()[-1])

    @contextmanager
    def process(
        self, command: list[str], environment: dict[str, str], output: Any, *, errors: Any = subprocess.STDOUT
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a program in a process group of its own, which is killed at the end of the block or of this run."""
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            preexec_fn=signal_when_parent_dies(signal.SIGKILL),
        )
        with self.leftovers.watching(process.pid):
            try:
                yield process
            finally:
                signal_group(process.pid, signal.SIGKILL)
                process.wait()


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


@contextmanager
def set_up() -> Iterator[Stage]:
    """Install the peers, start the servers, and stop them at the end; one run at a time."""
    with ExitStack() as ends:
        ends.enter_context(_alone())
        install_peers()
        directory = Path(tempfile.mkdtemp(prefix="bench-"))
        leftovers = Leftovers(directory)
        ends.callback(leftovers.close)
        directory.chmod(0o755)
        servers = [valkey(directory / "valkey", durable=False), postgres(directory / "postgres")]
        for server in servers:
            server.start()
            ends.callback(server.stop)
        for server in servers:
            server.wait_until_ready()
        ids = [server.pid for server in servers]
        yield Stage(servers[0].url, servers[1].url, logs=directory, servers=ids, leftovers=leftovers)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other run measures here; end as if by Ctrl-C when told to, so that everything is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Told to end."))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit("The terminal is gone."))
    BENCH.mkdir(exist_ok=True)
    with (BENCH / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another run measures here; waiting for its end.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield

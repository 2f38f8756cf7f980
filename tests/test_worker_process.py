"""A worker process signs on before it takes a message; one that cannot takes none, and ends."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import DataError, InternalError, OperationalError
from django.db import Error as DatabaseError
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.tasks.models import Worker
from project.tasks.running import database
from project.tasks.running.this_worker import this_worker
from project.tasks.upkeep.heartbeat import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def starting(broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[DramatiqWorker]:
    """A worker that is about to start."""
    monkeypatch.setattr(database, "TRY_AGAIN_AFTER", timedelta(milliseconds=10))
    worker = DramatiqWorker(broker, worker_timeout=100, worker_threads=1)
    yield worker
    worker.stop(timeout=10_000)


def failing(*errors: Exception, monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Let signing on fail with one error after the other, and then succeed; return those that are left."""
    left, begin = list(errors), Heartbeat.begin

    def fail_or_begin(heartbeat: Heartbeat) -> None:
        if left:
            raise left.pop(0)
        begin(heartbeat)

    monkeypatch.setattr(Heartbeat, "begin", fail_or_begin)
    return left


@pytest.mark.parametrize("error", [DataError("too long"), TypeError("a defect")])
def test_a_process_that_cannot_sign_on_takes_no_message_and_ends(
    starting: DramatiqWorker, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing(error, error, error, monkeypatch=monkeypatch)
    with pytest.raises(SystemExit, match="1"):
        starting.start()
    assert not starting.consumers
    (line,) = [record.getMessage() for record in caplog.records if "not_signed_on" in record.getMessage()]
    assert str(error) in line
    assert "cure" in line


@pytest.mark.parametrize("error", [OperationalError("away"), InternalError("read-only")])
def test_a_process_insists_on_signing_on_while_the_database_is_away(
    starting: DramatiqWorker, error: DatabaseError, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = failing(*[error] * 4, monkeypatch=monkeypatch)
    starting.start()
    assert not left
    assert Worker.objects.get().id == this_worker.id


def test_a_process_that_is_told_to_stop_before_it_could_sign_on_ends(
    starting: DramatiqWorker, broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_told_to_stop(heartbeat: Heartbeat) -> None:
        broker.work.closed = True
        raise OperationalError("away")

    monkeypatch.setattr(Heartbeat, "begin", be_told_to_stop)
    with pytest.raises(SystemExit, match="0"):
        starting.start()
    assert not starting.consumers


def test_a_process_whose_sign_on_was_stored_though_the_reply_was_lost_is_signed_on(
    starting: DramatiqWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, tries = Heartbeat.begin, list[Heartbeat]()

    def lose_the_first_reply(heartbeat: Heartbeat) -> None:
        begin(heartbeat)
        tries.append(heartbeat)
        if len(tries) == 1:
            raise OperationalError("the connection is lost")

    monkeypatch.setattr(Heartbeat, "begin", lose_the_first_reply)
    starting.start()
    assert Worker.objects.get().id == this_worker.id

"""What happens to runs while the database or the broker is away, and around a run's own code."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection, transaction
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.database.access import this_connection
from project.embedded.server import Server
from project.tasks.batches import Batch
from project.tasks.models import TaskRun
from project.tasks.repair.audit import Operator
from project.tasks.repair.operations import cancel
from project.tasks.upkeep.batch_callbacks import settle_batches
from tests.acceptance import tasks
from tests.acceptance.processes import Service
from tests.acceptance.tasks import Diary
from tests.eventually import eventually


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Diary:
    """What the tasks do, in this process and in the service's."""
    diary = Diary(tmp_path)
    monkeypatch.setenv("DIARY", diary.environment["DIARY"])
    return diary


def test_a_retry_is_not_lost_though_database_and_broker_are_away(
    service: Service, private_postgres: Server, private_valkey: Server, diary: Diary
) -> None:
    service.environment |= {**diary.environment, "DATABASE_POOL_TIMEOUT": "1"}
    send = "from tests.acceptance import tasks; tasks.wait_and_fail.send(label='it')"
    service.command("shell", "--no-imports", "-c", send)
    worker = service.worker()
    eventually(lambda: diary.read("began") == ["it"])
    private_postgres.kill()
    private_valkey.kill()
    diary.allow("it")
    eventually(lambda: diary.read("failed") == ["it"])
    worker.wait_for("database_unreachable")
    for server in (private_postgres, private_valkey):
        server.start()
        server.wait_until_ready()

    eventually(lambda: diary.read("began") == ["it", "it"], timeout=20)
    worker.wait_for("run_succeeded")


def test_a_time_limit_does_not_hit_what_follows_the_tasks_code(worker: DramatiqWorker, diary: Diary) -> None:
    message = tasks.brief.send(label="just in time")
    eventually(lambda: diary.read("began"))
    limit = time.monotonic() + 1.5
    with transaction.atomic():
        TaskRun.objects.select_for_update().get(id=message.run_id)
        diary.allow("just in time")
        eventually(lambda: diary.read("ended"))
        eventually(lambda: time.monotonic() > limit)

    assert message.result(timeout=10) == "attempt 1"
    assert TaskRun.objects.get(id=message.run_id).attempts == 1


def test_a_running_run_is_cancelled(worker: DramatiqWorker, diary: Diary) -> None:
    message = tasks.wait.send(label="endless")
    eventually(lambda: diary.read("began"))
    cancel(message.run_id, by=Operator(name="ann", source="command"))
    eventually(lambda: TaskRun.objects.get(id=message.run_id).state == TaskRun.State.CANCELLED)
    assert diary.read("interrupted") == ["TaskCancelled"]


def test_fifty_sends_that_race_for_one_key_make_one_run(transactional_db: None) -> None:
    pool = this_connection().own_pool
    size, pool.max_size = pool.max_size, 60
    start = threading.Barrier(50)

    def send(_: int) -> UUID:
        with connection.cursor():
            start.wait()
        try:
            return tasks.only_one.send(key="one").run_id
        finally:
            connection.close()

    with ThreadPoolExecutor(50) as threads:
        ids = list(threads.map(send, range(50)))
    pool.max_size = size
    assert set(ids) == set(TaskRun.objects.values_list("id", flat=True))
    assert len(set(ids)) == 1


def test_a_batch_that_many_settle_at_once_sends_one_callback(transactional_db: None, broker: ServiceBroker) -> None:
    Batch.send([tasks.note.call(label=str(number)) for number in range(3)], then=tasks.member.call(number=1))
    TaskRun.objects.update(state=TaskRun.State.SUCCEEDED)
    start = threading.Barrier(8)

    def settle(_: int) -> int:
        with connection.cursor():
            start.wait()
        try:
            return settle_batches()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(settle, range(8))) == 1
    assert TaskRun.objects.filter(task="acceptance.member").count() == 1

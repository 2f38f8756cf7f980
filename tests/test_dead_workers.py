"""What is lost by others comes back."""

from datetime import timedelta
from uuid import UUID, uuid4

from django.utils import timezone
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.tasks.models import TaskRun, Worker
from project.tasks.policy import MAX_DEATHS
from project.tasks.sending.outbox import relay_once
from project.tasks.upkeep.dead_workers import remove_silent_workers
from project.values.ids import uuid7
from tests import tasks_for_tests as tasks
from tests.eventually import eventually

LONG_AGO = timezone.now() - timedelta(hours=1)


def running_run(*, worker_id: UUID, deaths: int = 0) -> TaskRun:
    return TaskRun.objects.create(
        task="tests.add",
        queue="default",
        arguments={"left": 1},
        state=TaskRun.State.RUNNING,
        attempts=1 + deaths,
        deaths=deaths,
        started_at=LONG_AGO,
        worker_id=worker_id,
    )


def state_of(run: TaskRun) -> str:
    run.refresh_from_db()
    return run.state


def test_a_flushed_broker_loses_no_run(worker: DramatiqWorker, broker: ServiceBroker) -> None:
    tasks.wait.send_many([tasks.wait.call(), tasks.wait.call()])
    assert eventually(lambda: tasks.notes.count("started") == 2)
    waiting = tasks.add.send_many([tasks.add.call(number) for number in range(20)])
    broker.client.flushdb()
    tasks.gate.set()
    assert [message.result(timeout=30).total for message in waiting] == list(range(1, 21))


def test_a_row_that_was_never_published_is_relayed(worker: DramatiqWorker) -> None:
    run = TaskRun.objects.create(task="tests.add", queue="default", arguments={"left": 1}, created_at=LONG_AGO)
    assert eventually(lambda: state_of(run) == TaskRun.State.SUCCEEDED)


def test_the_run_of_a_dead_worker_is_tried_again(listener: Worker) -> None:
    worker = Worker.objects.create(kind="worker", hostname="gone", pid=1, beat_at=LONG_AGO)
    run = running_run(worker_id=worker.id)
    assert remove_silent_workers() == 1
    assert state_of(run) == TaskRun.State.RETRYING
    assert list(Worker.objects.all()) == [listener]
    assert run.failed_attempts.get().error_type == "WorkerDied"


def test_the_run_of_a_living_worker_is_left_alone(listener: Worker) -> None:
    worker = Worker.objects.create(kind="worker", hostname="here", pid=1)
    run = running_run(worker_id=worker.id)
    assert remove_silent_workers() == 0
    assert state_of(run) == TaskRun.State.RUNNING


def test_a_run_whose_worker_died_three_times_is_dead(listener: Worker) -> None:
    run = running_run(worker_id=uuid4(), deaths=MAX_DEATHS - 1)
    remove_silent_workers()
    assert state_of(run) == TaskRun.State.DEAD
    assert "3 of 3" in run.error


def test_a_cancelled_run_whose_worker_died_is_cancelled(listener: Worker) -> None:
    run = running_run(worker_id=uuid4())
    TaskRun.objects.update(cancel_requested=True)
    remove_silent_workers()
    assert state_of(run) == TaskRun.State.CANCELLED


def test_a_claim_that_no_thread_knows_of_is_freed(worker: DramatiqWorker) -> None:
    alive = Worker.objects.get(kind="worker")
    run = running_run(worker_id=alive.id)
    assert eventually(lambda: state_of(run) == TaskRun.State.SUCCEEDED)


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [uuid7() for _ in range(1000)]
    assert [id_.int >> 80 for id_ in ids] == sorted(id_.int >> 80 for id_ in ids)
    assert {(id_.version, id_.variant) for id_ in ids} == {(7, "specified in RFC 4122")}


def test_a_freed_run_goes_before_everything_that_waits(
    transactional_db: None, listener: Worker, broker: ServiceBroker
) -> None:
    tasks.add.send_many([tasks.add.call(number) for number in range(3)])
    for seconds in range(3):
        at = LONG_AGO - timedelta(seconds=seconds)
        TaskRun.objects.create(task="tests.add", queue="default", state="pending", created_at=at, run_after=at)
    freed = running_run(worker_id=uuid4())
    remove_silent_workers()
    assert relay_once(limit=1) == 1
    assert state_of(freed) == TaskRun.State.QUEUED
    assert relay_once() == 3
    waiting = broker.client.lrange(f"{broker.namespace}:default", 0, -1)
    assert waiting[0].decode() == f"{freed.id}:1"

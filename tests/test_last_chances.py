"""A run on its last chance, and the others."""

import pytest
from django.db import connections
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.desk.overview import queues_now
from project.desk.why import explain
from project.pool.last_chances import are_waiting
from project.tasks.models import TaskRun, Worker
from project.tasks.policy import MAX_DEATHS
from project.tasks.sending.last_chances import is_for_last_chances
from project.tasks.sending.outbox import publish_on_commit
from project.tasks.upkeep.process import WorkerProcess
from project.tasks.upkeep.reconcile import reconcile_in_turn
from project.tasks.upkeep.roles import Role
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)


def a_last_chance(**columns: object) -> TaskRun:
    run = a_run("queued", deaths=MAX_DEATHS - 1, published_at="2026-01-01T00:00Z", **columns)
    publish_on_commit([run])
    return run


def has_succeeded(run: TaskRun) -> bool:
    return TaskRun.objects.get(id=run.id).state == TaskRun.State.SUCCEEDED


def test_outside_of_a_pool_it_runs_among_the_others_and_holds_up_none(worker: DramatiqWorker) -> None:
    long = tasks.wait.send()
    eventually(lambda: tasks.notes == ["started"])
    suspect = a_last_chance()
    eventually(lambda: has_succeeded(suspect))
    assert tasks.add.send(1).result(timeout=5).total == 2
    assert TaskRun.objects.get(id=long.run_id).state == TaskRun.State.RUNNING


def test_a_process_of_a_pool_leaves_it_to_one_that_runs_nothing_else(
    broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    (process,) = [middleware for middleware in broker.middleware if isinstance(middleware, WorkerProcess)]
    suspect = a_last_chance()
    monkeypatch.setattr(process, "role", Role.ALL_BUT_LAST_CHANCES)
    with Working(broker):
        assert tasks.add.send(1).result(timeout=5).total == 2
        assert are_waiting(broker, ["default"])
        assert TaskRun.objects.get(id=suspect.id).state == TaskRun.State.QUEUED
    monkeypatch.setattr(process, "role", Role.LAST_CHANCES)
    other = tasks.add.send(1)
    with Working(broker):
        eventually(lambda: has_succeeded(suspect))
        (queues,) = Worker.objects.values_list("queues", flat=True)
        assert "default.alone" in queues
        assert all(map(is_for_last_chances, queues))
        assert not any("alone" in queue.name for queue in queues_now())
    assert not are_waiting(broker, ["default"])
    assert TaskRun.objects.get(id=other.run_id).state == TaskRun.State.QUEUED


def test_its_message_is_found_where_it_waits(broker: ServiceBroker) -> None:
    suspect = a_last_chance()
    reconcile_in_turn()
    assert broker.client.llen("dramatiq:default.alone") == 1
    Worker.objects.create(kind="worker", hostname="host", pid=7, queues=["default"])
    assert [reason.code for reason in explain(suspect)] == ["last_chance"]


class Working:
    """A worker in this process, of the role that the process has."""

    def __init__(self, broker: ServiceBroker) -> None:
        self._worker = DramatiqWorker(broker, worker_timeout=100, worker_threads=1)

    def __enter__(self) -> None:
        self._worker.start()

    def __exit__(self, *_: object) -> None:
        self._worker.stop(timeout=10_000)
        connections.close_all()

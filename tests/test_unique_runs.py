"""Bounds over all workers: unique runs, max_concurrency, paused queues."""

from datetime import timedelta
from threading import Thread

from django.db import connection, transaction
from django.utils import timezone
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks.models import PausedQueue, TaskRun
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue, resume_queue
from project.tasks.sending.outbox import fill_slots, relay_once
from tests import tasks_for_tests as tasks
from tests.eventually import eventually

SOMEBODY = Operator("somebody", "command")


def test_a_second_send_of_an_unfinished_unique_task_returns_the_first_ones_message(
    db: None, broker: ServiceBroker
) -> None:
    first, second, other = tasks.once.send(key=1), tasks.once.send(key=1), tasks.once.send(key=2)
    assert first.run_id == second.run_id != other.run_id


def test_a_unique_task_can_be_sent_again_once_it_has_ended(worker: Worker) -> None:
    first = tasks.once.send(key=1)
    first.result(timeout=10)
    assert tasks.once.send(key=1).run_id != first.run_id


def test_a_run_that_was_told_to_stop_does_not_stand_in_for_what_is_sent_after_that(
    db: None, broker: ServiceBroker
) -> None:
    first = tasks.once.send(key=1)
    TaskRun.objects.update(state="running")
    first.cancel()
    second = tasks.once.send(key=1)
    assert (second.run_id != first.run_id, second.status) == (True, "pending")
    TaskRun.objects.filter(id=first.run_id).update(state="cancelled")
    fill_slots()
    relay_once()
    assert second.status == "queued"


def test_many_unique_calls_at_once_are_kept_once(db: None, broker: ServiceBroker) -> None:
    messages = tasks.once.send_many([tasks.once.call(key=number % 3) for number in range(12)])
    assert len({message.run_id for message in messages}) == 3
    assert TaskRun.objects.count() == 3


def test_racing_transactions_send_a_unique_task_once(transactional_db: None, broker: ServiceBroker) -> None:
    ids = []

    def send() -> None:
        ids.append(tasks.once.send(key=1).run_id)
        connection.close()

    threads = [Thread(target=send) for _ in range(8)]
    with transaction.atomic():
        first = tasks.once.send(key=1)
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert set(ids) == {first.run_id}
    assert len(ids) == 8


def test_a_task_with_max_concurrency_never_runs_twice_at_once(worker: Worker, notes: list[str]) -> None:
    messages = tasks.alone.send_many([tasks.alone.call(number=number) for number in range(4)])
    for message in messages:
        message.result(timeout=30)
    assert notes == ["start", "end"] * 4


def test_a_paused_queue_starts_nothing_until_it_is_resumed(worker: Worker) -> None:
    pause_queue("default", by=SOMEBODY, reason="the peer is down")
    message = tasks.add.send(1)
    assert tasks.add.using(queue="maintenance").send(2).result(timeout=10).total == 3
    assert TaskRun.objects.get(id=message.run_id).state == TaskRun.State.QUEUED
    assert resume_queue("default", by=SOMEBODY)
    assert message.result(timeout=10).total == 2


def test_a_pause_with_an_end_ends_by_itself(worker: Worker) -> None:
    soon = timezone.now() + timedelta(seconds=1)
    pause_queue("default", by=SOMEBODY, reason="a moment", resume_at=soon)
    run = TaskRun.objects.get(id=tasks.add.send(1).run_id)
    eventually(lambda: TaskRun.objects.get(id=run.id).state == TaskRun.State.SUCCEEDED)
    started_at = TaskRun.objects.get(id=run.id).started_at
    assert started_at is not None
    assert started_at >= soon
    assert not PausedQueue.objects.exists()

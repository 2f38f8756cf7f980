"""Unique tasks in batches and chains: nothing is left out, what has to wait waits."""

import json
from threading import Thread
from typing import Any
from uuid import uuid4

from django.db import connection, transaction
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.desk.why import explain
from project.tasks.batches import Batch
from project.tasks.chains import chain
from project.tasks.models import TaskRun
from project.tasks.policy import Policy
from project.tasks.repair.audit import Operator
from project.tasks.repair.operations import cancel, retry
from project.tasks.running.outcomes import record_success
from project.tasks.sending.outbox import relay_once
from project.tasks.sending.unique import admit_waiting
from project.tasks.upkeep.batch_callbacks import settle_batches
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.runs import a_claim

SOMEBODY = Operator("somebody", "command")


def end(run_id: Any) -> None:
    TaskRun.objects.filter(id=run_id).update(state=TaskRun.State.SUCCEEDED)


def members(batch: Batch) -> list[str]:
    return sorted(TaskRun.objects.filter(batch=batch.id).values_list("state", flat=True))


def test_a_member_whose_key_a_run_elsewhere_has_waits_for_its_end(db: None, broker: ServiceBroker) -> None:
    elsewhere = tasks.once.send(key=1).run_id
    batch = Batch.send([tasks.once.call(key=1), tasks.once.call(key=2)], on_failure=tasks.add.call(9))
    assert members(batch) == ["pending", "queued"]
    assert batch.progress().failed == 0
    waiting = TaskRun.objects.get(batch=batch.id, state="pending")
    assert any(str(elsewhere) in reason.text for reason in explain(waiting))
    assert (admit_waiting(), relay_once()) == (0, 0)
    end(elsewhere)
    assert (relay_once(), members(batch)) == (1, ["queued", "queued"])
    assert TaskRun.objects.get(id=waiting.id).unique_key is not None


def test_members_of_one_key_run_one_after_another(worker: Worker) -> None:
    batch = Batch.send([tasks.once.call(key=1) for _ in range(2)], then=tasks.add.call(9))
    eventually(lambda: TaskRun.objects.filter(task="tests.add").exists())
    assert members(batch) == ["succeeded"] * 2


def test_a_chain_whose_first_step_has_to_wait_keeps_its_steps(db: None, broker: ServiceBroker) -> None:
    elsewhere = tasks.once.send(key=1).run_id
    sent = chain(tasks.once.call(key=1), tasks.add)
    run = TaskRun.objects.get(id=sent.messages[0].run_id)
    assert (run.id != elsewhere, run.state, run.next_steps[0]["task"]) == (True, "pending", "tests.add")


def test_a_later_step_that_has_to_wait_keeps_the_steps_after_it(transactional_db: None, broker: ServiceBroker) -> None:
    elsewhere = tasks.only.send(5).run_id
    step, later = {"id": str(uuid4()), "task": "tests.only"}, {"id": str(uuid4()), "task": "tests.add"}
    record_success(a_claim(next_steps=[step, later]), json.dumps(5), policy=Policy())
    run = TaskRun.objects.get(id=step["id"])
    assert (run.state, run.next_steps, run.arguments) == ("pending", [later], {"number": 5})
    end(elsewhere)
    assert relay_once() == 1


def test_a_callback_that_has_to_wait_is_sent_when_its_key_is_free(db: None, broker: ServiceBroker) -> None:
    elsewhere = tasks.once.send(key=1).run_id
    batch: Batch = Batch.send([], then=tasks.once.call(key=1))
    assert settle_batches() == 1
    callback = TaskRun.objects.get(state="pending")
    assert callback.id != elsewhere
    assert batch.progress().failed == 0
    end(elsewhere)
    assert relay_once() == 1


def test_a_key_that_an_open_transaction_is_about_to_take_holds_nobody_up(
    transactional_db: None, broker: ServiceBroker
) -> None:
    elsewhere = tasks.once.send(key=1).run_id
    Batch.send([tasks.once.call(key=1), tasks.once.call(key=2)])
    end(elsewhere)
    admitted: list[int] = []

    def admit() -> None:
        admitted.append(admit_waiting())
        connection.close()

    with transaction.atomic():
        tasks.once.send(key=1)
        thread = Thread(target=admit)
        thread.start()
        thread.join(timeout=10)
    assert admitted == [0]
    assert admit_waiting() == 0


def test_a_waiting_run_can_be_cancelled_and_takes_a_key_when_it_is_retried(db: None, broker: ServiceBroker) -> None:
    elsewhere = tasks.once.send(key=1).run_id
    Batch.send([tasks.once.call(key=1)])
    run = cancel(TaskRun.objects.get(state="pending").id, by=SOMEBODY)
    end(elsewhere)
    assert admit_waiting() == 0
    assert retry(run.id, by=SOMEBODY).unique_key == TaskRun.objects.get(id=elsewhere).unique_key


def test_a_run_that_is_retried_with_other_arguments_has_their_key(db: None, broker: ServiceBroker) -> None:
    run = cancel(tasks.once.send(key=1).run_id, by=SOMEBODY)
    retry(run.id, by=SOMEBODY, arguments={"key": 2})
    assert tasks.once.send(key=2).run_id == run.id
    assert tasks.once.send(key=1).run_id != run.id

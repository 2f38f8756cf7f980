"""Tasks without a row: what pausing a queue and an expiry do to them."""

from datetime import timedelta

import pytest
from django.utils import timezone
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks.models import TaskRun
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue, resume_queue
from tests import tasks_for_tests as tasks
from tests.eventually import eventually

GRACE = Operator("grace", "command")
_PAST = timezone.now() - timedelta(minutes=1)


@pytest.mark.parametrize("expires", [timedelta(milliseconds=-1), _PAST])
def test_what_was_not_started_in_time_is_not_started(
    transactional_db: None, broker: ServiceBroker, worker: Worker, expires: timedelta
) -> None:
    tasks.fast.using(expires=expires).send(note="late")
    tasks.fast.using(expires=timedelta(minutes=1)).send(note="in time")
    tasks.fast_and_short_lived.send(note="in time too")
    eventually(lambda: len(tasks.notes) == 2)
    assert sorted(tasks.notes) == ["in time", "in time too"]


def test_a_paused_queue_keeps_its_messages_until_it_is_resumed(worker: Worker, broker: ServiceBroker) -> None:
    pause_queue("default", by=GRACE, reason="the peer is down")
    tasks.fast.send(note="waits")
    durable = tasks.add.send(1)
    for number in range(3):
        tasks.fast.using(queue="maintenance").send(note=f"elsewhere {number}")
    eventually(lambda: len(tasks.notes) >= 3)
    assert "waits" not in tasks.notes
    assert len(tasks.notes) == 3
    assert broker.client.llen(f"{broker.namespace}:default") == 2
    assert TaskRun.objects.get(id=durable.run_id).state == TaskRun.State.QUEUED
    resume_queue("default", by=GRACE)
    eventually(lambda: "waits" in tasks.notes)
    assert durable.result(timeout=5).total == 2

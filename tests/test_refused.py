"""Dramatiq's and Celery's own ways to send, which would leave no row."""

from typing import Any

import dramatiq
import pytest
from django.db import transaction
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks import Task
from project.tasks.errors import OtherWayError
from project.tasks.models import TaskRun
from tests import tasks_for_tests as tasks
from tests.eventually import eventually

WAYS: dict[str, Any] = {
    "send_with_options": lambda task: task.send_with_options(args=(7,)),
    "message": lambda task: task.message(7),
    "message_with_options": lambda task: task.message_with_options(args=(7,)),
    "delay": lambda task: task.delay(7),
    "apply_async": lambda task: task.apply_async((7,), countdown=3),
    "s": lambda task: task.s(7),
    "group": lambda task: dramatiq.group([task.message(7)]).run(),
    "get_result": lambda task: task.send(7).get_result(block=True),
    "a pipe": lambda task: task.send(7) | task.send(8),
    "a pipeline": lambda task: dramatiq.pipeline([task.send(7), task.send(8)]).run(),
}


@pytest.mark.parametrize("way", WAYS)
def test_another_way_to_send_is_refused_with_a_sentence_that_names_ours(
    db: None, broker: ServiceBroker, way: str
) -> None:
    with pytest.raises(OtherWayError, match=r"Write \.(send|using|call|result)\("), transaction.atomic():
        WAYS[way](tasks.add)
    assert not TaskRun.objects.exists()
    assert not broker.client.keys(f"{broker.namespace}:default*")


def test_a_task_looks_to_other_libraries_as_if_it_had_no_such_ways() -> None:
    assert not hasattr(tasks.add, "delay")
    assert hasattr(Task, "message")


def test_a_message_from_another_producer_keeps_its_positional_arguments(
    worker: Worker, broker: ServiceBroker, notes: list[str]
) -> None:
    foreign: dramatiq.Message[None] = dramatiq.Message("default", "tests.fast_pair", ("a",), {"second": "b"}, {})
    broker.enqueue(foreign)
    assert eventually(lambda: notes == ["a b"])


def test_a_pipeline_of_another_producer_hands_its_result_to_a_task(
    worker: Worker, broker: ServiceBroker, notes: list[str]
) -> None:
    first: dramatiq.Message[Any] = dramatiq.Message("default", "tests.fast_pair", ("a", "b"), {}, {})
    second: dramatiq.Message[Any] = dramatiq.Message("default", "tests.fast_pair", ("c",), {}, {})
    dramatiq.pipeline([first, second]).run()
    assert eventually(lambda: notes == ["a b", "c a b"])

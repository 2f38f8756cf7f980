"""What became of each member of a batch, for its callback and for whoever waits."""

from typing import Any

import pytest
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks import Batch, PermanentError, ResultTimeout, ResultUnavailable, TaskArgumentError, outcomes_of
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.running.members import with_outcomes
from project.tasks.upkeep.batch_callbacks import settle_batches
from project.values.ids import uuid7
from tests import tasks_for_tests as tasks
from tests.eventually import eventually


def ended_callback() -> Any:
    return TaskRun.objects.filter(task="tests.total", state__in=TaskRun.ENDED).first()


def members_of(batch: Batch) -> list[TaskRun]:
    return list(TaskRun.objects.filter(batch=batch.id).order_by("id"))


def loaded(batch: Batch) -> Any:
    """Return what the callback of a batch is given."""
    stored = tasks.total.signature.from_json({"outcomes": {"batch": str(batch.id)}})
    return with_outcomes(tasks.total.declaration, stored)["outcomes"]


def test_the_callback_gets_each_value_and_each_error_in_the_order_of_the_calls(worker: Worker) -> None:
    Batch.send([tasks.odd.call(number) for number in (1, 2, 3, 4, 5)], then=tasks.total)
    callback = eventually(ended_callback)
    assert (callback.state, callback.result) == (TaskRun.State.SUCCEEDED, 9)
    assert tasks.notes[-1] == "sfsfs"
    assert "2 is even" in tasks.notes[0]


def test_a_callback_may_have_arguments_of_its_own(worker: Worker) -> None:
    calls = [tasks.odd.call(1)]
    Batch.send(calls, then=tasks.total.call(outcomes_of(calls), plus=100))
    assert eventually(ended_callback).result == 101


def test_whoever_waits_gets_the_same_with_the_types_of_the_members(worker: Worker) -> None:
    batch = Batch.send([tasks.odd.call(3), tasks.odd.call(4)])
    first, second = batch.results(timeout=10)
    assert first.value == tasks.Sum(total=3)
    assert not second.ok
    with pytest.raises(Exception, match="4 is even"):
        _ = second.value


def test_waiting_ends_in_time(transactional_db: None, broker: ServiceBroker) -> None:
    batch = Batch.send([tasks.odd.call(3)])
    with pytest.raises(ResultTimeout, match="unfinished in 1 members"):
        batch.results(timeout=0.01)
    with pytest.raises(ResultUnavailable, match="never sent, or was pruned"):
        Batch(uuid7()).results()


def test_members_that_were_cancelled_expired_or_pruned_say_so(transactional_db: None, broker: ServiceBroker) -> None:
    batch = Batch.send([tasks.odd.call(number) for number in range(5)])
    for run, state in zip(members_of(batch), ("cancelled", "expired", "succeeded", "dead", "succeeded"), strict=True):
        TaskRun.objects.filter(id=run.id).update(state=state, result={"total": 7})
    gone = members_of(batch)[2].id
    TaskRun.objects.filter(id=gone).delete()
    outcomes = loaded(batch)
    assert [outcome.error and outcome.error.state for outcome in outcomes] == [
        "cancelled", "expired", "pruned", "dead", None,
    ]  # fmt: skip
    assert outcomes[2].run_id == gone
    assert outcomes[4].value == tasks.Sum(total=7)


def test_a_result_that_the_callback_does_not_ask_for_is_named(transactional_db: None, broker: ServiceBroker) -> None:
    batch = Batch.send([tasks.echo.call(text="x")])
    TaskRun.objects.update(state="succeeded", result="x")
    with pytest.raises(TaskArgumentError, match=r"tests\.echo returned something else"):
        loaded(batch)


def test_five_thousand_members_leave_the_callbacks_row_small(
    transactional_db: None, broker: ServiceBroker, django_assert_num_queries: Any
) -> None:
    batch = Batch.send([tasks.odd.call(number) for number in range(5000)], then=tasks.total)
    TaskRun.objects.update(state="succeeded", result={"total": 1})
    assert settle_batches() == 1
    assert TaskRun.objects.get(task="tests.total").arguments == {"outcomes": {"batch": str(batch.id)}}
    with django_assert_num_queries(2):
        assert sum(outcome.value.total for outcome in loaded(batch)) == 5000


def test_the_order_of_a_batch_from_a_former_release_is_that_of_time(db: None) -> None:
    row = TaskBatch.objects.create(total=3)
    for number in range(2):
        TaskRun.objects.create(task="tests.odd", batch=row, state="succeeded", result={"total": number})
    outcomes = loaded(Batch(row.id))
    assert [outcome.value.total for outcome in outcomes[:2]] == [0, 1]
    assert outcomes[2].error.state == "pruned"


def test_a_callback_that_is_sent_by_itself_is_refused(db: None) -> None:
    with pytest.raises(TaskArgumentError, match=r"a batch gives it: Batch\.send"):
        tasks.total.send([])
    with pytest.raises(PermanentError, match="send it as the callback of a batch"):
        with_outcomes(
            tasks.total.declaration, tasks.total.signature.from_json(tasks.total.call(outcomes_of([])).arguments)
        )


def test_a_callback_can_be_called_like_any_function() -> None:
    assert tasks.total([]) == 0

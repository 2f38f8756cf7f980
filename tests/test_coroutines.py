"""Async tasks on the event loop of a real worker."""

import asyncio
from collections.abc import Iterator

import pytest
from django.db import connections
from dramatiq.worker import Worker

from project.broker.broker import ServiceBroker
from project.tasks import Batch, chain
from project.tasks.errors import TaskFailed
from project.tasks.loop.event_loop import event_loop_of
from project.tasks.models import TaskRun
from project.tasks.repair.audit import Operator
from project.tasks.repair.operations import cancel
from tests import tasks_for_tests, tasks_on_loop
from tests.eventually import eventually
from tests.tasks_for_tests import Sum, notes


def test_many_more_run_at_once_than_there_are_threads(worker: Worker) -> None:
    messages = tasks_on_loop.meet.send_many([tasks_on_loop.meet.call(company=60) for _ in range(60)])
    assert {message.result() for message in messages} == {60}


def test_those_that_wait_do_not_delay_plain_tasks_of_their_queue(worker: Worker) -> None:
    tasks_on_loop.wait.send_many([tasks_on_loop.wait.call() for _ in range(50)])
    eventually(lambda: len(notes) == 50)
    assert tasks_for_tests.add.send(1).result(timeout=5) == Sum(total=2)


def test_busy_threads_delay_no_coroutine(worker: Worker) -> None:
    tasks_for_tests.wait.send_many([tasks_for_tests.wait.call() for _ in range(2)])
    eventually(lambda: len(notes) == 2)
    assert tasks_for_tests.add_async.send(1).result(timeout=5) == Sum(total=2)


def test_each_knows_its_own_run_and_no_other(worker: Worker) -> None:
    calls = [tasks_on_loop.who_am_i.call(pause=0.001 * number) for number in range(15)]
    messages = tasks_on_loop.who_am_i.send_many(calls)
    assert [message.result() for message in messages] == [[str(message.run_id)] for message in messages]


@pytest.mark.parametrize("swallows", [False, True])
def test_a_cancelled_one_is_told_so_where_it_waits_even_if_it_swallows_that_once(
    worker: Worker, swallows: bool
) -> None:
    message = tasks_on_loop.wait.send(swallows=swallows)
    eventually(lambda: notes == ["started"])
    cancel(message.run_id, by=Operator("grace", source="admin"))

    eventually(lambda: TaskRun.objects.get().state == "cancelled")
    assert notes == ["started", "TaskCancelled"]


def test_the_time_limit_reaches_into_groups_and_lets_them_clean_up(worker: Worker) -> None:
    with pytest.raises(TaskFailed, match="TimeLimitExceeded"):
        tasks_on_loop.clean_up.send().result()
    assert notes == ["cleaned up"]


def test_one_that_cancels_itself_has_failed(worker: Worker) -> None:
    with pytest.raises(TaskFailed, match="CancelledError"):
        tasks_on_loop.cancel_itself.send().result()


def test_progress_is_reported_without_waiting(worker: Worker) -> None:
    tasks_on_loop.wait.send()
    eventually(lambda: TaskRun.objects.filter(progress=0.5, progress_note="half way"))


def test_the_last_report_of_a_failed_attempt_is_kept_and_its_retry_succeeds(worker: Worker) -> None:
    message = tasks_on_loop.fail.send(Sum(total=7))
    assert message.result() == Sum(total=7)
    assert TaskRun.objects.get().attempts == 2


def test_slots_hold_for_coroutines(worker: Worker) -> None:
    messages = tasks_on_loop.alone.send_many([tasks_on_loop.alone.call(number=number) for number in range(5)])
    for message in messages:
        message.result()
    assert notes == ["start", "end"] * 5


def test_chains_and_batches_go_through_coroutines(worker: Worker) -> None:
    done = chain(tasks_for_tests.add_async.call(1), tasks_on_loop.fail, tasks_for_tests.double)
    assert done.result() == Sum(total=4)
    Batch.send([tasks_for_tests.add_async.call(1)] * 3, then=tasks_on_loop.meet.call(company=1))
    eventually(lambda: notes == ["here"])


def test_without_a_row_they_are_retried_and_have_a_time_limit(worker: Worker) -> None:
    tasks_on_loop.fast.send(note="it")
    eventually(lambda: notes == ["it", "it"])
    tasks_on_loop.fast_and_slow.send()
    eventually(lambda: notes[2:] == ["too long"])
    assert not TaskRun.objects.exists()


@pytest.fixture
def worker_without_loop(
    transactional_db: None, broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Worker]:
    """One as it is in a process for last chances."""
    monkeypatch.setattr(event_loop_of(broker), "places", 0)
    worker = Worker(broker, worker_timeout=100, worker_threads=1)
    worker.start()
    yield worker
    worker.stop(timeout=10_000)
    connections.close_all()


@pytest.mark.usefixtures("worker_without_loop")
def test_where_there_is_no_shared_loop_they_run_in_a_thread_under_the_same_rules() -> None:
    assert tasks_for_tests.add_async.send(1).result() == Sum(total=2)
    assert tasks_on_loop.use_database.send().result()
    with pytest.raises(TaskFailed, match="TimeLimitExceeded"):
        tasks_on_loop.clean_up.send().result()
    assert notes == ["cleaned up"]


def test_what_one_leaves_behind_on_the_loop_is_cancelled(worker: Worker) -> None:
    tasks_on_loop.leave_behind.send().result()
    assert notes == ["cancelled"]


def test_one_that_sends_as_plain_functions_do_is_told_what_to_write(worker: Worker) -> None:
    with pytest.raises(TaskFailed, match=r"await .*asend"):
        tasks_on_loop.send_blocking.send().result()


def test_who_sends_from_a_coroutine_of_its_own_is_told_the_same(db: None) -> None:
    with pytest.raises(RuntimeError, match="asend"):
        asyncio.run(tasks_on_loop.send_blocking.signature.fn())

"""How many messages a process may take, and which of them its threads get first; on a clock that the tests move."""

import itertools
import threading

import pytest
from dramatiq import Message
from dramatiq.broker import MessageProxy

from project.broker.dramatiq_internals import WorkQueueItem as Item
from project.broker.lanes import MOST_TAKEN_AHEAD, TAKEN_AHEAD
from project.broker.work_queue import WorkQueue
from tests.eventually import eventually

numbers = itertools.count()


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_item(queue: str = "default", *, priority: int = 0) -> Item:
    options = {"redis_message_id": f"{queue}-{next(numbers)}"}
    message: Message[None] = Message(queue_name=queue, actor_name="nothing", args=(), kwargs={}, options=options)
    return Item(priority, MessageProxy(message))


def run_one(work: WorkQueue, clock: Clock, *, seconds: float = 0.001) -> str:
    """Do what a worker thread does with one message that takes so long, and return its queue."""
    item = work.get_nowait()
    clock.now += seconds
    work.task_done()
    return item.message.queue_name


def in_thread(work: WorkQueue) -> None:
    """Take a message in a thread that never finishes it."""
    thread = threading.Thread(target=work.get_nowait)
    thread.start()
    thread.join()


def test_one_message_per_idle_thread_while_nobody_knows_how_long_tasks_take() -> None:
    assert WorkQueue(threads=4).reserve("default", timeout=0) == 4


def test_what_is_reserved_is_not_given_twice() -> None:
    work = WorkQueue(threads=4)
    work.reserve("default", timeout=0)

    assert work.reserve("other", timeout=0) == 0


def test_what_was_reserved_and_does_not_come_may_be_fetched_by_others() -> None:
    work = WorkQueue(threads=4)
    work.release("default", work.reserve("default", timeout=0))

    assert work.reserve("other", timeout=0) == 4


def test_as_much_is_taken_ahead_as_will_start_within_the_time_for_it(clock: Clock) -> None:
    work = WorkQueue(threads=2, now=clock)
    work.put(make_item())
    run_one(work, clock, seconds=TAKEN_AHEAD.total_seconds() / 10)

    assert work.reserve("default", timeout=0) in (19, 20)  # by how floats are rounded


def test_there_is_an_end_to_what_is_taken_ahead(clock: Clock) -> None:
    work = WorkQueue(threads=2, now=clock)
    work.put(make_item())
    run_one(work, clock, seconds=0.0001)

    assert work.reserve("default", timeout=0) == MOST_TAKEN_AHEAD


def test_slow_tasks_are_not_taken_ahead(clock: Clock) -> None:
    work = WorkQueue(threads=2, now=clock)
    work.put(make_item())
    run_one(work, clock, seconds=0.12)

    assert work.reserve("default", timeout=0) == 2


def test_more_is_fetched_only_when_half_of_what_was_taken_ahead_has_run(clock: Clock) -> None:
    work = WorkQueue(threads=1, now=clock)
    for _ in range(8):
        work.put(make_item())
    run_one(work, clock, seconds=TAKEN_AHEAD.total_seconds() / 10.5)
    in_thread(work)
    assert work.reserve("default", timeout=0) == 0
    work.take_back("default")

    assert work.reserve("default", timeout=0) == 10


def test_nothing_is_taken_ahead_once_no_task_has_ended_for_long(clock: Clock) -> None:
    work = WorkQueue(threads=1, now=clock)
    for _ in range(2):
        work.put(make_item())
    run_one(work, clock)
    in_thread(work)
    assert not work.is_stuck()
    clock.now += TAKEN_AHEAD.total_seconds() * 1.1

    assert work.is_stuck()
    assert work.reserve("default", timeout=0) == 0


def test_a_thread_that_ends_wakes_the_consumer_that_waits_for_one() -> None:
    work = WorkQueue(threads=1)
    work.put(make_item())
    work.get_nowait()
    granted: list[int] = []
    waiting = threading.Thread(target=lambda: granted.append(work.reserve("other", timeout=60)), daemon=True)
    waiting.start()
    eventually(lambda: work._demand("other").is_wanting)
    work.task_done()

    eventually(lambda: granted == [1])


def test_the_queue_that_had_less_time_runs_first(clock: Clock) -> None:
    work = WorkQueue(threads=1, now=clock)
    for _ in range(2):
        work.put(make_item("slow"))
    run_one(work, clock, seconds=0.02)
    for _ in range(3):
        work.put(make_item("fast"))

    assert [run_one(work, clock) for _ in range(4)] == ["fast", "fast", "fast", "slow"]


def test_a_queue_cannot_save_up_time_by_being_empty(clock: Clock) -> None:
    work = WorkQueue(threads=1, now=clock)
    work.put(make_item("late"))
    run_one(work, clock)
    for _ in range(3):
        work.put(make_item("busy"))
    run_one(work, clock, seconds=0.02)
    run_one(work, clock, seconds=0.02)
    work.put(make_item("late"))
    run_one(work, clock, seconds=0.06)

    work.put(make_item("late"))
    assert run_one(work, clock) == "busy"


def test_what_runs_now_counts_as_time_that_a_queue_has_had(clock: Clock) -> None:
    work = WorkQueue(threads=2, now=clock)
    for _ in range(2):
        work.put(make_item("slow"))
    in_thread(work)
    clock.now += 1
    work.put(make_item("fast"))

    assert run_one(work, clock) == "fast"


def test_priority_comes_before_fairness(clock: Clock) -> None:
    work = WorkQueue(threads=1, now=clock)
    work.put(make_item("first", priority=5))
    work.put(make_item("second", priority=1))

    assert run_one(work, clock) == "second"


def test_what_was_taken_back_is_gone_and_not_waited_for() -> None:
    work = WorkQueue(threads=1)
    items = [make_item() for _ in range(3)]
    for item in items:
        work.put(item)

    assert work.take_back("default") == [item.message for item in items]
    assert work.qsize() == 0
    assert work.unfinished_tasks == 0


def test_a_closed_queue_takes_nothing() -> None:
    work = WorkQueue(threads=1)
    work.closed = True

    assert work.reserve("default", timeout=0) == 0

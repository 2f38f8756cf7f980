"""How many messages a process may take, and which of them its threads get first."""

import threading
import time
from typing import Any

from dramatiq import Message
from dramatiq.broker import MessageProxy

from project.broker.dramatiq_internals import WorkQueueItem as Item
from project.broker.work_queue import MOST_AHEAD, WorkQueue
from tests.eventually import eventually


def make_item(queue: str = "default", *, priority: int = 0) -> Item:
    options = {"redis_message_id": f"{queue}-{time.monotonic_ns()}"}
    message: Message[Any] = Message(queue_name=queue, actor_name="nothing", args=(), kwargs={}, options=options)
    return Item(priority, MessageProxy(message))


def run_one(work: WorkQueue, *, seconds: float = 0.0) -> str:
    """Do what a worker thread does with one message and give its queue."""
    item = work.get_nowait()
    time.sleep(seconds)
    work.task_done()
    return item.message.queue_name


def in_thread(work: WorkQueue) -> Item:
    """Take a message in a thread that never finishes it."""
    taken: list[Item] = []
    thread = threading.Thread(target=lambda: taken.append(work.get_nowait()))
    thread.start()
    thread.join()
    return taken[0]


def test_one_message_per_idle_thread_while_the_pace_is_unknown() -> None:
    assert WorkQueue(threads=4).reserve("default", timeout=0) == 4


def test_reserved_room_is_not_given_twice() -> None:
    work = WorkQueue(threads=4)
    work.reserve("default", timeout=0)

    assert work.reserve("other", timeout=0) == 0


def test_room_that_was_not_used_is_there_again() -> None:
    work = WorkQueue(threads=4)
    work.release("default", work.reserve("default", timeout=0))

    assert work.reserve("other", timeout=0) == 4


def test_quick_tasks_are_taken_ahead() -> None:
    work = WorkQueue(threads=2)
    work.put(make_item())
    run_one(work)

    assert 2 < work.reserve("default", timeout=0) <= MOST_AHEAD


def test_slow_tasks_are_not_taken_ahead() -> None:
    work = WorkQueue(threads=2)
    work.put(make_item())
    run_one(work, seconds=0.12)

    assert work.reserve("default", timeout=0) == 2


def test_nothing_is_taken_ahead_while_every_thread_is_busy_for_long() -> None:
    work = WorkQueue(threads=1)
    for _ in range(2):
        work.put(make_item())
    run_one(work)
    in_thread(work)
    eventually(work.is_stuck)

    assert work.reserve("default", timeout=0) == 0


def test_a_thread_that_ends_makes_room_for_who_waits() -> None:
    work = WorkQueue(threads=1)
    work.put(make_item())
    work.get_nowait()
    rooms: list[int] = []
    waiting = threading.Thread(target=lambda: rooms.append(work.reserve("other", timeout=5)))
    waiting.start()
    work.task_done()
    waiting.join()

    assert rooms == [1]


def test_the_queue_that_had_less_time_runs_first() -> None:
    work = WorkQueue(threads=1)
    for _ in range(2):
        work.put(make_item("slow"))
    run_one(work, seconds=0.02)
    for _ in range(3):
        work.put(make_item("fast"))

    assert [run_one(work) for _ in range(4)] == ["fast", "fast", "fast", "slow"]


def test_a_queue_cannot_save_up_time_by_being_empty() -> None:
    work = WorkQueue(threads=1)
    work.put(make_item("late"))
    run_one(work)
    for _ in range(3):
        work.put(make_item("busy"))
    run_one(work, seconds=0.02)
    run_one(work, seconds=0.02)
    work.put(make_item("late"))
    run_one(work, seconds=0.06)

    work.put(make_item("late"))
    assert run_one(work) == "busy"


def test_priority_comes_before_fairness() -> None:
    work = WorkQueue(threads=1)
    work.put(make_item("first", priority=5))
    work.put(make_item("second", priority=1))

    assert run_one(work) == "second"


def test_what_was_taken_back_is_gone_and_not_waited_for() -> None:
    work = WorkQueue(threads=1)
    items = [make_item() for _ in range(3)]
    for item in items:
        work.put(item)

    assert work.take_back("default") == [item.message for item in items]
    assert work.qsize() == 0
    work.join()


def test_a_closed_queue_takes_nothing() -> None:
    work = WorkQueue(threads=1)
    work.closed = True

    assert work.reserve("default", timeout=0) == 0

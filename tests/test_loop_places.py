"""Which messages a process takes for its event loop and which for its threads, and how neither delays the other."""

import itertools

import pytest
from dramatiq import Message
from dramatiq.broker import MessageProxy

from project.broker.dramatiq_internals import WorkQueueItem as Item
from project.broker.work_queue import WorkQueue

THREADS, PLACES = 4, 100
numbers = itertools.count()


@pytest.fixture
def wakes() -> list[str]:
    """How often the loop was woken."""
    return []


@pytest.fixture
def work(wakes: list[str]) -> WorkQueue:
    """A queue in front of four threads and a loop of a hundred places."""
    work = WorkQueue(threads=THREADS)
    work.open_loop(places=PLACES, is_for_loop=lambda actor: actor == "coroutine", wake=lambda: wakes.append("wake"))
    return work


def messages(actor: str, count: int, *, queue: str = "default", priority: int = 0) -> list[MessageProxy]:
    made = []
    for _ in range(count):
        options = {"redis_message_id": f"{actor}-{next(numbers)}", "priority": priority}
        made.append(MessageProxy(Message(queue_name=queue, actor_name=actor, args=(), kwargs={}, options=options)))
    return made


def fetch(work: WorkQueue, brought: list[MessageProxy], *, queue: str = "default") -> tuple[int, int]:
    """Do what a consumer does that finds these messages; return how many it asked for and how many had no place."""
    count = work.reserve(queue, timeout=0)
    fetched = brought[:count]
    del brought[:count]
    work.release(queue, count - len(fetched))
    surplus = work.expect(queue, fetched)
    for message in fetched:
        if message.options["redis_message_id"] not in surplus:
            work.arrive([message])
            work.put(Item(0, message))
    return count, len(surplus)


def fill_threads(work: WorkQueue) -> None:
    """Have the threads run something of another queue that never ends."""
    fetch(work, messages("plain", THREADS, queue="slow"), queue="slow")
    for _ in range(THREADS):
        work.get_nowait()


def test_a_queue_of_coroutines_soon_has_every_place_of_the_loop(work: WorkQueue) -> None:
    waiting = messages("coroutine", 1000)
    while fetch(work, waiting)[1] == 0 and work._loop.waiting + len(work.take_for_loop()) > 0:
        pass
    assert len(work.running("default")) == PLACES


def test_coroutines_leave_the_threads_to_others(work: WorkQueue) -> None:
    waiting = messages("coroutine", 5000)
    for _ in range(20):
        fetch(work, waiting)
        work.take_for_loop()

    assert fetch(work, messages("plain", 1, queue="other"), queue="other") == (THREADS, 0)
    assert work.get_nowait().message.actor_name == "plain"


def test_busy_threads_do_not_keep_coroutines_waiting(work: WorkQueue) -> None:
    fill_threads(work)
    waiting = messages("coroutine", 1000)
    for _ in range(10):
        assert fetch(work, waiting)[1] == 0
        work.take_for_loop()

    assert len(work.running("default")) == PLACES


def test_what_needs_a_thread_goes_back_while_all_threads_are_busy(work: WorkQueue) -> None:
    fill_threads(work)
    fetch(work, messages("coroutine", 1))
    fetch(work, messages("coroutine", 50))
    waiting = [*messages("coroutine", 1), *messages("plain", 1000)]
    taken = [fetch(work, waiting) for _ in range(20)]

    # From a mixed queue no hundreds are taken that others could run, and what is taken in vain is one at a time.
    assert taken[0][1] <= 2
    assert set(taken[1:]) == {(1, 1)}
    assert work.qsize() == 0


def test_a_queue_without_coroutines_is_fetched_as_if_there_were_no_loop(work: WorkQueue) -> None:
    assert fetch(work, messages("plain", 10)) == (THREADS, 0)
    fetch(work, messages("plain", 10))
    assert work.qsize() == THREADS
    assert not work.may_wait("default")


def test_a_burst_wakes_the_loop_once(work: WorkQueue, wakes: list[str]) -> None:
    for message in messages("coroutine", 5):
        work.put(Item(0, message))
    assert wakes == ["wake"]
    assert len(work.take_for_loop()) == 5
    work.put(Item(0, messages("coroutine", 1)[0]))
    assert wakes == ["wake", "wake"]


def test_urgent_coroutines_start_first(work: WorkQueue) -> None:
    for message in [*messages("coroutine", 1, priority=5), *messages("coroutine", 1, priority=1)]:
        work.put(Item(0, message))
    assert [message.options["priority"] for message in work.take_for_loop()] == [1, 5]


def test_the_queue_that_had_less_time_on_the_loop_is_next(work: WorkQueue) -> None:
    now = 1000.0
    work = WorkQueue(threads=1, now=lambda: now)
    work.open_loop(places=1, is_for_loop=lambda _actor: True, wake=lambda: None)
    for message in [*messages("coroutine", 2, queue="slow"), *messages("coroutine", 2, queue="fast")]:
        work.put(Item(0, message))
    order = []
    while taken := work.take_for_loop():
        now += 0.02 if taken[0].queue_name == "slow" else 0.001
        order.append(taken[0].queue_name)
        work.done_on_loop(taken[0])
    assert order == ["slow", "fast", "fast", "slow"]
    assert work.unfinished_tasks == 0


def test_what_the_loop_has_not_started_goes_back_with_the_rest(work: WorkQueue) -> None:
    both = [*messages("plain", 1), *messages("coroutine", 1)]
    for message in both:
        work.put(Item(0, message))
    assert work.take_back("default") == both
    assert work.unfinished_tasks == 0
    assert work.take_for_loop() == []


def test_a_loop_that_has_ended_gets_nothing_more(work: WorkQueue) -> None:
    work.close_loop()
    work.put(Item(0, messages("coroutine", 1)[0]))
    assert work.take_for_loop() == []
    assert work.get_nowait().message.actor_name == "coroutine"

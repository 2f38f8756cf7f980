"""How an interrupt is raised in a coroutine, without a worker."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from project.tasks.errors import TaskCancelled, TimeLimitExceeded
from project.tasks.loop.interrupts import Interruptible

noted: list[str] = []


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    noted.clear()


def interrupt(coroutine: Coroutine[Any, Any, Any], *, beside: Callable[[], None] = lambda: None) -> Any:
    """Run a coroutine and interrupt it where it waits first; return what it returned."""

    async def main() -> Any:
        driven = Interruptible(coroutine)
        beside()
        asyncio.get_running_loop().call_later(0.01, driven.interrupt, TaskCancelled)
        return await driven

    return asyncio.run(asyncio.wait_for(main(), timeout=10))


async def for_ever() -> None:
    await asyncio.Event().wait()


async def shielded_once(error: type[BaseException]) -> None:
    try:
        await for_ever()
    except error as caught:
        noted.append(type(caught).__name__)
    await for_ever()


def test_it_is_raised_where_the_coroutine_waits_and_is_a_cancellation_too() -> None:
    with pytest.raises(TaskCancelled) as caught:
        interrupt(for_ever())
    assert isinstance(caught.value, asyncio.CancelledError)


@pytest.mark.parametrize("error", [TaskCancelled, asyncio.CancelledError, BaseException])
def test_one_that_swallows_it_is_told_once_more(error: type[BaseException]) -> None:
    with pytest.raises(TaskCancelled):
        interrupt(shielded_once(error))
    assert noted == ["TaskCancelled"]


def test_one_that_swallows_it_twice_may_go_on() -> None:
    async def stubborn() -> str:
        for _ in range(2):
            try:
                await for_ever()
            except TaskCancelled:
                noted.append("told")
        await asyncio.sleep(0.01)
        return "done"

    assert interrupt(stubborn()) == "done"
    assert noted == ["told", "told"]


def test_one_that_still_cleans_up_is_left_in_peace() -> None:
    async def tidy() -> None:
        try:
            await for_ever()
        finally:
            for _ in range(5):
                await asyncio.sleep(0.002)
            noted.append("clean")

    with pytest.raises(TaskCancelled):
        interrupt(tidy())
    assert noted == ["clean"]


def test_a_child_that_swallows_the_cancellation_does_not_save_its_parent() -> None:
    async def child() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            noted.append("swallowed")

    async def parent() -> None:
        await asyncio.ensure_future(child())
        noted.append("went on")

    with pytest.raises(TaskCancelled):
        interrupt(parent())
    assert noted == ["swallowed"]


def test_time_outs_of_its_own_stay_time_outs() -> None:
    async def impatient() -> str:
        try:
            async with asyncio.timeout(0.001):
                await for_ever()
        except TimeoutError:
            return "too late"
        return "never"

    async def main() -> str:
        return await Interruptible(impatient())

    assert asyncio.run(main()) == "too late"


def test_a_lock_that_an_interrupted_one_waited_for_goes_on_to_the_next() -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        await lock.acquire()

        async def take() -> None:
            async with lock:
                noted.append("taken")

        async def wait() -> None:
            driven = Interruptible(take())
            asyncio.get_running_loop().call_soon(driven.interrupt, TimeLimitExceeded)
            with pytest.raises(TimeLimitExceeded):
                await driven

        await asyncio.wait(
            [waiting := asyncio.ensure_future(wait()), other := asyncio.ensure_future(take())], timeout=0.05
        )
        lock.release()
        await asyncio.gather(waiting, other)

    asyncio.run(main())
    assert noted == ["taken"]


def test_what_ends_otherwise_is_not_interrupted_any_more() -> None:
    async def main() -> str:
        driven = Interruptible(asyncio.sleep(0, result="done"))
        result = await driven
        driven.interrupt(TaskCancelled)
        await asyncio.sleep(0.01)
        return result

    assert asyncio.run(main()) == "done"

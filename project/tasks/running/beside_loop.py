"""What the bookkeeping of coroutines does beside their event loop, because it waits for the database or for Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Successes without a next step, which are most of what is recorded, do not come here.
THREADS_BESIDE_THE_LOOP = 2

_threads = ThreadPoolExecutor(THREADS_BESIDE_THE_LOOP, thread_name_prefix="beside-loop")


async def beside_loop(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in another thread, in the same context, and wait for it without holding up other coroutines."""
    return await asyncio.wrap_future(start_beside_loop(function, *args, **kwargs))


def start_beside_loop(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Have a function called in another thread, in the same context."""
    return _threads.submit(copy_context().run, partial(function, *args, **kwargs))

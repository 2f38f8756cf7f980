"""Wait for something to become true, without sleeping longer than it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], *, timeout: float = 10.0, every: float = 0.02) -> T:
    """Call `probe` until it returns something true and return that.

    Args:
        probe: Called again and again; should return a falsy value while the wait goes on.
        timeout: Seconds after which the wait fails.
        every: Seconds between two calls.

    Raises:
        AssertionError: If the probe never returned something true.
    """
    deadline = time.monotonic() + timeout
    while True:
        if outcome := probe():
            return outcome
        assert time.monotonic() < deadline, f"still {outcome!r} after {timeout} s"
        time.sleep(every)

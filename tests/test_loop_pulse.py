"""Who is to blame when the event loop does not go on."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from project.tasks.running import loop_pulse
from project.tasks.running.loop_pulse import LoopPulse
from tests.eventually import eventually

FUTURE = time.monotonic() + 3600


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.AbstractEventLoop]:
    """One that runs in a thread."""
    monkeypatch.setattr(loop_pulse, "BLOCKED_AFTER", timedelta(milliseconds=20))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def blocks(pulse: LoopPulse) -> bool:
    pulse.feel()
    return pulse.is_blocked


def test_only_the_run_in_the_middle_of_a_step_is_to_blame(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    pulse, gate = LoopPulse(loop, thread_id=0), threading.Event()

    async def block() -> None:
        gate.wait()

    loop.call_soon_threadsafe(lambda: loop.create_task(block(), name="culprit"))
    eventually(lambda: blocks(pulse))
    assert pulse.overdue_since("culprit", deadline=FUTURE) < time.monotonic()
    assert pulse.overdue_since("innocent", deadline=0) == float("inf")
    assert "event_loop_blocked" in caplog.text
    assert "culprit" in caplog.text

    gate.set()
    eventually(lambda: not blocks(pulse))
    # Those that were late meanwhile have their grace from now on.
    assert 0 < pulse.overdue_since("innocent", deadline=0) <= time.monotonic()
    assert pulse.overdue_since("innocent", deadline=FUTURE) == FUTURE

"""One action on one system, in that system's own virtual environment; the driver reads the JSON it prints.

``python -m tests.benchmarks.agent <module> <action> <arguments as JSON>``
"""

import importlib
import inspect
import json
import os
import signal
import sys
import time
from typing import Any

from tests.benchmarks.systems import stamps


def prepare(system: Any, *, tables: bool) -> None:
    """Empty the broker, make what the system needs before its workers start, and send the first message."""
    stamps.client.flushall()
    if tables:
        getattr(system, "make_tables", lambda: None)()
    getattr(system, "prepare", lambda: None)()
    system.send_stamp()


def measure(
    system: Any, *, groups: list[int], count: int, singles: int, messages: int, seconds: float
) -> dict[str, Any]:
    """Time idle workers, then sends to paused ones, then how they work it off."""
    timed = latencies(system, count=count, pause=0.015)
    signal_all(groups, signal.SIGSTOP)
    single = send(system, count=singles)
    return {"latencies": timed, "send_single": single} | throughput(
        system, groups=groups, messages=messages, seconds=seconds
    )


def throughput(system: Any, *, groups: list[int], messages: int, seconds: float, data: str = "") -> dict[str, float]:
    """Send in bulk to paused workers, let them go on, and give both rates."""
    signal_all(groups, signal.SIGSTOP)
    started = time.perf_counter()
    system.send_many(messages, data)
    sent = messages / (time.perf_counter() - started)
    return {"send_bulk": sent, "throughput": drain(system, groups=groups, seconds=seconds)}


def drain(system: Any, *, groups: list[int], seconds: float) -> float:
    """Let the paused workers go on and give the rate at which they work off what waits."""
    waiting = system.pending()
    started = asked = time.perf_counter()
    signal_all(groups, signal.SIGCONT)
    while (left := system.pending()) and time.perf_counter() - started < seconds:
        # Counting takes a database its time, so it has a tenth of a core at most.
        time.sleep(max(0.01, 9 * (time.perf_counter() - asked)))
        asked = time.perf_counter()
    return float((waiting - left) / (time.perf_counter() - started))


def send(system: Any, *, count: int) -> float:
    """Send one by one, from within the event loop if the system has one, and give the rate."""
    started = time.perf_counter()
    if inspect.iscoroutinefunction(system.send):
        system.loop.run_until_complete(_send_in_loop(system, count=count))
    else:
        for _ in range(count):
            system.send("")
    return count / (time.perf_counter() - started)


async def _send_in_loop(system: Any, *, count: int) -> None:
    for _ in range(count):
        await system.send("")


def signal_all(groups: list[int], signum: signal.Signals) -> None:
    """Signal whole process groups."""
    for group in groups:
        os.killpg(group, signum)


def latencies(system: Any, *, count: int, pause: float) -> list[float]:
    """Send now and then and give the milliseconds until each task started."""
    stamps.client.delete("bench:stamps")
    for _ in range(count):
        system.send_stamp()
        time.sleep(pause)
    deadline = time.monotonic() + 10
    while stamps.client.llen("bench:stamps") < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return [float(each) for each in stamps.client.lrange("bench:stamps", 0, -1)]


def wait_together(system: Any, *, groups: list[int], count: int, seconds: float) -> dict[str, float]:
    """Send tasks that wait for a second to paused workers; give how long they all took, and how many ran at once."""
    signal_all(groups, signal.SIGSTOP)
    system.send_naps(count)
    started = time.perf_counter()
    drain(system, groups=groups, seconds=seconds)
    taken = time.perf_counter() - started
    return {"seconds": taken, "most": max(map(int, stamps.client.lrange(stamps.AT_ONCE, 0, -1)), default=0)}


def fill(system: Any, *, groups: list[int], kind: str, count: int, busy: int) -> None:
    """Make many messages wait, of a kind that the system knows."""
    system.fill_with(kind, count=count, busy=busy)


ACTIONS = {action.__name__: action for action in (prepare, measure, throughput, wait_together, fill)}

if __name__ == "__main__":
    module, action, arguments = sys.argv[1:]
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        importlib.import_module("django").setup()
    loaded = importlib.import_module(f"tests.benchmarks.systems.{module}")
    print(json.dumps({"result": ACTIONS[action](loaded, **json.loads(arguments))}))

"""How throughput changes as there is more of something."""

from statistics import median

from tests.benchmarks.effort import Effort
from tests.benchmarks.lineup import DRAMATIQ, HUEY, OURS
from tests.benchmarks.session import running
from tests.benchmarks.stage import Stage
from tests.benchmarks.system import System

MESSAGES = 20_000
SMALL_RUNS = 5
PAYLOADS = (10, 1_000, 10_000, 100_000)
PROCESSES = (1, 2, 4)

Growth = dict[str, dict[int, float]]


def grow(stage: Stage, effort: Effort) -> dict[str, Growth]:
    """Measure throughput by backlog, payload and number of processes."""
    figures = {"backlog": {OURS.title: _by_backlog(stage, effort)}}
    if effort.growth:
        systems = (OURS, DRAMATIQ, HUEY)
        figures["payload"] = {each.title: _by_payload(stage, each, effort) for each in systems}
        figures["processes"] = {each.title: _by_processes(stage, each, effort) for each in systems}
    return figures


def _by_backlog(stage: Stage, effort: Effort) -> dict[int, float]:
    """Work on backlogs of growing size for the same time."""
    figures = {}
    with running(stage, OURS) as session:
        for backlog in effort.backlogs:
            print(f"growth: {backlog:,} messages wait", flush=True)
            rates = [
                session.throughput(messages=backlog, seconds=effort.drain_seconds)
                for _ in range(SMALL_RUNS if backlog < MESSAGES else 1)
            ]
            figures[backlog] = median(rates)
    return figures


def _by_payload(stage: Stage, system: System, effort: Effort) -> dict[int, float]:
    figures = {}
    with running(stage, system) as session:
        for payload in PAYLOADS:
            print(f"growth: {system.title}, {payload:,} bytes each", flush=True)
            messages = min(system.messages, 200_000_000 // payload)
            data, seconds = "x" * payload, effort.drain_seconds
            figures[payload] = session.throughput(messages=messages, seconds=seconds, data=data)
    return figures


def _by_processes(stage: Stage, system: System, effort: Effort) -> dict[int, float]:
    figures = {}
    for processes in PROCESSES:
        print(f"growth: {system.title}, {processes} processes", flush=True)
        with running(stage, system, processes=processes) as session:
            messages = system.messages
            figures[processes] = session.throughput(messages=messages, seconds=effort.drain_seconds)
    return figures

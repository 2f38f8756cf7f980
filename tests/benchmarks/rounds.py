"""Each system in turn, round after round, so that a noisy minute does not hit one system alone."""

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.benchmarks.lineup import SYSTEMS
from tests.benchmarks.session import Session, running
from tests.benchmarks.stage import Stage

SINGLE_SENDS = 500


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Args:
        rounds: How often each system has its turn.
        drain_seconds: How long one throughput run may take.
        idle_seconds: How long the workers are watched while they wait.
        latencies: How many messages are timed.
        backlogs: How many messages wait in the runs that show growth.
        share: Which part of a system's messages its throughput run sends.
        growth: Whether growth with payload size and number of workers is measured too.
    """

    rounds: int
    drain_seconds: float
    idle_seconds: float
    latencies: int
    backlogs: tuple[int, ...]
    share: float
    growth: bool


FULL = Effort(
    rounds=3,
    drain_seconds=4,
    idle_seconds=5,
    latencies=200,
    backlogs=(1_000, 100_000, 1_000_000),
    share=1,
    growth=True,
)
QUICK = Effort(rounds=1, drain_seconds=1, idle_seconds=1, latencies=30, backlogs=(20_000,), share=0.2, growth=False)

Samples = dict[str, dict[str, list[float]]]


def compare(stage: Stage, effort: Effort) -> dict[str, dict[str, float]]:
    """Measure every system and give the medians by system and figure."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    for number in range(effort.rounds):
        for system in SYSTEMS:
            print(f"round {number + 1} of {effort.rounds}: {system.title}", flush=True)
            with running(stage, system) as session:
                _measure(session, effort, samples[system.module])
            print({name: round(values[-1], 2) for name, values in samples[system.module].items()}, flush=True)
    return {module: _medians(figures) for module, figures in samples.items()}


def _measure(session: Session, effort: Effort, figures: dict[str, list[float]]) -> None:
    figures["start"].append(session.seconds_to_first_task)
    figures["memory"].append(session.megabytes())
    if len(figures["idle_cpu"]) < 2:
        figures["idle_cpu"].append(session.idle_cpu(seconds=effort.idle_seconds))
    measured = session.measure(
        latencies=effort.latencies, singles=SINGLE_SENDS, share=effort.share, seconds=effort.drain_seconds
    )
    for name, value in measured.items():
        figures[name].append(value)


def _medians(figures: dict[str, list[float]]) -> dict[str, float]:
    return {name: median(values) for name, values in figures.items()}


def ratios(figures: dict[str, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Set what was reached against what was to be reached."""
    fast, rows = figures["ours"], figures["ours_rows"]
    reached = {
        "fast lane, times Celery": (fast["throughput"] / figures["celery_"]["throughput"], 8),
        "fast lane, times Dramatiq": (fast["throughput"] / figures["dramatiq_"]["throughput"], 3),
        "fast lane, times Huey": (fast["throughput"] / figures["huey_"]["throughput"], 1.5),
        "durable, times Celery with rows": (rows["throughput"] / figures["celery_rows"]["throughput"], 12),
        "durable, times Celery without results": (rows["throughput"] / figures["celery_"]["throughput"], 2),
        "bulk send, fast lane, per second": (fast["send_bulk"], 60_000),
        "bulk send, durable, per second": (rows["send_bulk"], 20_000),
    }
    at_most = {
        "start latency p50, ms": (fast["latency_p50"], 1),
        "start latency p99, ms": (fast["latency_p99"], 3),
        "idle CPU, % of a core": (fast["idle_cpu"], 1),
        "worker start to first task, s": (fast["start"], 1.5),
    }
    return {
        **{name: {"is": value, "at_least": goal} for name, (value, goal) in reached.items()},
        **{name: {"is": value, "at_most": goal} for name, (value, goal) in at_most.items()},
    }

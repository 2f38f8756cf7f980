"""Each system in turn, round after round, so that a noisy minute does not hit one system alone."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from tests.benchmarks.effort import Effort
from tests.benchmarks.peers import NotMeasurableError
from tests.benchmarks.session import Session, running
from tests.benchmarks.stage import Stage
from tests.benchmarks.system import System

Samples = dict[str, dict[str, list[float]]]
#: The CPU of idle workers hardly moves, so it is watched in so many rounds only.
_IDLE_ROUNDS = 2


def compare(stage: Stage, effort: Effort) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Measure every system; give the medians by system and figure, and why a system has none."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    failed: dict[str, str] = {}
    for number in range(effort.rounds):
        for system in _rotated(effort.systems, by=number):
            print(f"round {number + 1} of {effort.rounds}: {system.title}", flush=True)
            try:
                print(_turn(stage, system, effort, samples[system.key]), flush=True)
            except (NotMeasurableError, RuntimeError, OSError) as error:
                failed[system.key] = str(error)
                print(f"not measured: {error}", flush=True)
    # A system that failed once and was measured in the other rounds is shown with what it has.
    figures = {key: _medians(values) for key, values in samples.items() if "throughput" in values}
    return figures, {key: reason for key, reason in failed.items() if key not in figures}


def _rotated(systems: Sequence[System], *, by: int) -> list[System]:
    """Begin with another system in each round, so that none always comes after the same one."""
    return [*systems[by:], *systems[:by]]


def _turn(stage: Stage, system: System, effort: Effort, figures: dict[str, list[float]]) -> dict[str, float]:
    with running(stage, system, settle=effort.settle_seconds) as session:
        _measure(session, effort, figures)
    return {name: round(values[-1], 2) for name, values in figures.items()}


def _measure(session: Session, effort: Effort, figures: dict[str, list[float]]) -> None:
    figures["start"].append(session.seconds_to_first_task)
    figures["memory"].append(session.megabytes())
    if len(figures["idle_cpu"]) < _IDLE_ROUNDS:
        figures["idle_cpu"].append(session.idle_cpu(seconds=effort.idle_seconds))
    measured = session.measure(
        latencies=effort.latencies, singles=effort.singles, share=effort.share, seconds=effort.drain_seconds
    )
    for name, value in measured.items():
        figures[name].append(value)


def _medians(figures: dict[str, list[float]]) -> dict[str, float]:
    return {name: median(values) for name, values in figures.items()}

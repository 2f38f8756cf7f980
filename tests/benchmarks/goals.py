"""What is to be reached, mostly as a ratio to the best other system of the same run, and what was."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.lineup import (
    CELERY,
    CELERY_ROWS,
    DRAMATIQ,
    HUEY,
    OBAN,
    OBAN_100,
    OURS,
    OURS_ASYNC,
    OURS_ROWS,
    PGQUEUER,
    PGQUEUER_100,
    PROCRASTINATE,
)
from tests.benchmarks.system import System

#: Who keeps a message, so that our durable lane is measured beside them.
KEEPERS = (CELERY, OBAN, PGQUEUER, PROCRASTINATE)


class NotMeasured(Exception):  # noqa: N818 - not an error: a short run leaves things out
    """A figure is missing in this run."""


@dataclass(frozen=True)
class Figures:
    """What a run measured."""

    systems: dict[str, dict[str, float]]
    measures: dict[str, Any] = field(default_factory=dict)

    def of(self, system: System, figure: str) -> float:
        """Give a system's figure."""
        return self._found(self.systems, system.key, figure)

    def measured(self, name: str, figure: str) -> float:
        """Give a figure of a measure of its own."""
        return self._found(self.measures, name, figure)

    def best(self, systems: tuple[System, ...], figure: str, *, lowest: bool = False) -> System:
        """Give the best of those that were measured."""
        found = [system for system in systems if figure in self.systems.get(system.key, {})]
        if not found:
            raise NotMeasured(figure)
        return (min if lowest else max)(found, key=lambda system: self.of(system, figure))

    @staticmethod
    def _found(figures: Any, *path: str) -> float:
        for name in path:
            if not isinstance(figures, dict) or name not in figures:
                raise NotMeasured(" ".join(path))
            figures = figures[name]
        return float(figures)


@dataclass(frozen=True)
class Goal:
    """One line of the table.

    Args:
        name: What is measured, and its unit.
        reached: Its value in a run.
        wanted: What it is to be, and how that comes about.
        at_most: Whether less is better.
    """

    name: str
    reached: Callable[[Figures], float]
    wanted: Callable[[Figures], tuple[float, str]]
    at_most: bool = False


def check(figures: Figures) -> list[dict[str, Any]]:
    """Set what was reached against what was to be reached."""
    return [_checked(goal, figures) for goal in GOALS]


def _checked(goal: Goal, figures: Figures) -> dict[str, Any]:
    try:
        reached = goal.reached(figures)
        wanted, rule = goal.wanted(figures)
    except NotMeasured:
        return {"figure": goal.name, "at_most": goal.at_most, "verdict": "not measured"}
    is_reached = reached <= wanted if goal.at_most else reached >= wanted
    told = {"is": reached, "goal": wanted, "rule": rule, "verdict": "" if is_reached else "MISSED"}
    return {"figure": goal.name, "at_most": goal.at_most} | told


def _ours(system: System, figure: str) -> Callable[[Figures], float]:
    return lambda figures: figures.of(system, figure)


def _measured(name: str, figure: str) -> Callable[[Figures], float]:
    return lambda figures: figures.measured(name, figure)


def _fixed(value: float) -> Callable[[Figures], tuple[float, str]]:
    return lambda figures: (value, "")


def _times(factor: float, system: System, figure: str) -> Callable[[Figures], tuple[float, str]]:
    return lambda figures: (factor * figures.of(system, figure), f"{factor:g} x {system.title}")


def _times_best(
    factor: float, systems: tuple[System, ...], figure: str, *, by: str = "", lowest: bool = False
) -> Callable[[Figures], tuple[float, str]]:
    """Give a part of the figure of whoever is best, in that figure or in another one."""

    def wanted(figures: Figures) -> tuple[float, str]:
        best = figures.best(systems, by or figure, lowest=lowest)
        return factor * figures.of(best, figure), f"{factor:g} x {best.title}"

    return wanted


def _latency() -> Iterator[Goal]:
    p50, p99 = "latency_p50", "latency_p99"
    yield Goal("start latency p50, fast lane, ms", _ours(OURS, p50), _times(0.8, HUEY, p50), at_most=True)
    yield Goal("start latency p99, fast lane, ms", _ours(OURS, p99), _times(1, HUEY, p99), at_most=True)
    best_p50 = _times_best(0.85, KEEPERS, p50, lowest=True)
    best_p99 = _times_best(1, KEEPERS, p99, by=p50, lowest=True)
    yield Goal("start latency p50, durable, ms", _ours(OURS_ROWS, p50), best_p50, at_most=True)
    yield Goal("start latency p99, durable, ms", _ours(OURS_ROWS, p99), best_p99, at_most=True)


def _sending() -> Iterator[Goal]:
    one, many = "send_single", "send_bulk"
    yield Goal("send one by one, fast lane, per s", _ours(OURS, one), _times(1.2, HUEY, one))
    yield Goal("send one by one, durable, per s", _ours(OURS_ROWS, one), _times_best(1, KEEPERS, one))
    yield Goal("bulk send, fast lane, per s", _ours(OURS, many), _fixed(80_000))
    yield Goal("bulk send, durable, per s", _ours(OURS_ROWS, many), _times(1, PGQUEUER, many))


def _working() -> Iterator[Goal]:
    rate = "throughput"
    for peer, factor in ((CELERY, 8), (DRAMATIQ, 3), (HUEY, 1.5)):
        yield Goal(f"fast lane, beside {peer.title}, per s", _ours(OURS, rate), _times(factor, peer, rate))
    for peer, factor in ((CELERY_ROWS, 12), (CELERY, 2)):
        yield Goal(f"durable, beside {peer.title}, per s", _ours(OURS_ROWS, rate), _times(factor, peer, rate))
    at_10 = _times_best(1.3, (PGQUEUER, OBAN), rate)
    yield Goal("durable, beside 10 at a time, per s", _ours(OURS_ROWS, rate), at_10)
    yield Goal("durable, threads, beside 100, per s", _ours(OURS_ROWS, rate), _times(1, OBAN_100, rate))
    yield Goal("durable, async, beside 100, per s", _ours(OURS_ASYNC, rate), _times(0.8, PGQUEUER_100, rate))


def _growing() -> Iterator[Goal]:
    at_once = "async at once"
    yield Goal("async tasks at once in one process", _measured(at_once, "most_in_one_process"), _fixed(500))
    yield Goal("2,000 that await a second, s", _measured(at_once, "seconds"), _fixed(4), at_most=True)
    yield Goal("durable beside a long history, ratio", _measured("history", "ratio"), _fixed(0.97))
    yield Goal("durable after a soak, ratio", _measured("soak", "ratio"), _fixed(0.95))
    yield Goal("idle beside many waiting, % of a core", _measured("waiting", "worst"), _fixed(2), at_most=True)


def _starting() -> Iterator[Goal]:
    for name, figure, goal in (
        ("start to the first task, s", "cold start to the first task", 1.2),
        ("memory of a worker process (PSS), MB", "megabytes of a worker", 65),
        ("manage.py tasks list, s", "manage.py tasks list", 0.8),
    ):
        yield Goal(name, _measured("starting", figure), _fixed(goal), at_most=True)


def _serving() -> Iterator[Goal]:
    yield Goal("GET /v1/todos, times the old serialiser", _measured("web", "v1/todos, times the old way"), _fixed(2.5))
    yield Goal("GET /v1/users/me, per s", _measured("web", "v1/users/me"), _fixed(600))


GOALS = (*_latency(), *_sending(), *_working(), *_growing(), *_starting(), *_serving())

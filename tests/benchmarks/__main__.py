"""``python -m tests.benchmarks [--quick]``: measure this service beside other task queues.

Prints tables, writes ``.bench/figures.json`` and draws the plots; a full run also renews what
``docs/performance.md`` shows. ``--systems`` and ``--measures`` choose what is measured, for a look at one thing.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks import goals, report
from tests.benchmarks.at_once import wait_together
from tests.benchmarks.effort import FULL, QUICK, SOAK_RUNS, Effort
from tests.benchmarks.growth import grow
from tests.benchmarks.lineup import SYSTEMS
from tests.benchmarks.rounds import compare
from tests.benchmarks.soak import soak
from tests.benchmarks.stage import BENCH, PEERS_PYTHON, ROOT, Stage, set_up
from tests.benchmarks.waiting import idle_beside

DOCUMENT = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"
#: Measured with the workers of the line-up.
MEASURES: dict[str, Callable[[Stage, Effort], dict[str, Any]]] = {
    "growth": grow,
    "async at once": wait_together,
    "waiting": idle_beside,
    "soak": soak,
}
#: Modules beside this one with a `run(quick=…)`, each in a process of its own; one that is not there is left out.
PARTS = ("history", "starting", "web", "export", "cleanup", "clock")
#: Left out of a short run: its ticks take a minute, and no goal is about them.
LONG_PARTS = ("clock",)
#: A part may take so many seconds; the history of a soak is long.
PART_SECONDS = 600
SOAK_SECONDS = 3600


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write, draw."""
    chosen = _parser().parse_args(arguments)
    started = time.monotonic()
    with set_up() as stage:
        figures = _measure(stage, _effort(chosen), names=chosen.measures)
    figures["seconds"] = round(time.monotonic() - started)
    is_partial = chosen.systems is not None or chosen.measures is not None
    print(text := _text(figures, is_partial=is_partial))
    if chosen.quick or is_partial:
        _draw(figures, BENCH / "plots")
    else:
        DOCUMENT.write_text(report.renew(DOCUMENT.read_text(), text))
        _draw(figures, PLOTS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*MEASURES, *PARTS]
    keys = [system.key for system in SYSTEMS]
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1")
    parser.add_argument("--soak", action="store_true", default=os.environ.get("SOAK") == "1")
    parser.add_argument("--systems", nargs="*", choices=keys, metavar="SYSTEM", help=f"some of: {', '.join(keys)}")
    parser.add_argument("--measures", nargs="*", choices=names, metavar="NAME", help=f"some of: {', '.join(names)}")
    return parser


def _effort(chosen: argparse.Namespace) -> Effort:
    effort = QUICK if chosen.quick else FULL
    if chosen.systems is not None or chosen.measures is not None:
        named = chosen.systems or ()
        effort = replace(effort, systems=tuple(system for system in SYSTEMS if system.key in named))
    return replace(effort, soak=SOAK_RUNS) if chosen.soak else effort


def _measure(stage: Stage, effort: Effort, *, names: list[str] | None) -> dict[str, Any]:
    systems, failed = compare(stage, effort)
    usual = [name for name in (*MEASURES, *PARTS) if not (effort.is_quick and name in LONG_PARTS)]
    wanted = usual if names is None else names
    measures = {name: _measured(stage, effort, name) for name in wanted}
    growth = measures.pop("growth", {})
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "titles": {system.key: system.title for system in SYSTEMS},
        "systems": systems,
        "failed": failed,
        "goals": goals.check(goals.Figures(systems, measures)),
        "growth": {} if "failed" in growth else growth,
        "measures": {name: measured for name, measured in measures.items() if measured},
    }


def _measured(stage: Stage, effort: Effort, name: str) -> dict[str, Any]:
    """Measure one thing; what fails does not take the others with it."""
    print(name, flush=True)
    try:
        return MEASURES[name](stage, effort) if name in MEASURES else _part(stage, effort, name)
    except Exception as error:
        print(f"failed: {error}", flush=True)
        return {"failed": str(error)}


def _part(stage: Stage, effort: Effort, name: str) -> dict[str, Any]:
    """Run a benchmark of its own module in a process whose settings are the stage's servers."""
    if find_spec(f"tests.benchmarks.{name}") is None:
        return {}
    code = f"import json; from tests.benchmarks.{name} import run; print(json.dumps(run(quick={effort.is_quick})))"
    environment = stage.environment(name)
    environment |= {"REDIS_URL": stage.redis_url, "DATABASE_URL": environment["BENCH_DATABASE_URL"]}
    environment["SOAK"] = "1" if effort.soak else ""
    stage.client.flushall()
    seconds = SOAK_SECONDS if effort.soak else PART_SECONDS
    figures: dict[str, Any] = stage.run([sys.executable, "-c", code], environment, seconds=seconds)
    return figures


def _text(figures: dict[str, Any], *, is_partial: bool) -> str:
    tables = [
        report.goals([goal for goal in figures["goals"] if "is" in goal or not is_partial]),
        report.table(figures["systems"], figures["failed"]),
        report.growth(figures["growth"]),
        *(report.measure(name, measured) for name, measured in figures["measures"].items()),
    ]
    return "\n\n".join(["", *tables, f"{figures['machine']}, measured in {figures['seconds']} s"])


def _draw(figures: dict[str, Any], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    written = directory / "figures.json"
    written.write_text(json.dumps(figures, indent=1) + "\n")

    drawn = subprocess.run([PEERS_PYTHON, "-m", "tests.benchmarks.plots", written, directory], cwd=ROOT, check=False)
    print(f"Figures in {written}, {'no ' if drawn.returncode else ''}plots in {directory}")


if __name__ == "__main__":
    main()

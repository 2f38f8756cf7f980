"""``python -m tests.benchmarks [--quick]``: measure this service beside other task queues.

Prints tables, writes ``.bench/figures.json`` and draws the plots; a full run also renews what
``docs/performance.md`` shows.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks import report
from tests.benchmarks.growth import grow
from tests.benchmarks.lineup import SYSTEMS
from tests.benchmarks.rounds import FULL, QUICK, compare, ratios
from tests.benchmarks.stage import BENCH, PEERS_PYTHON, ROOT, Stage, set_up

DOCUMENT = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"
PARTS = ("cleanup", "clock", "web")


def main() -> None:
    """Measure, print, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1")
    quick = parser.parse_args().quick
    started = time.monotonic()
    with set_up() as stage:
        figures = _measure(stage, quick=quick)
    figures["seconds"] = round(time.monotonic() - started)
    print(text := _text(figures))
    if not quick:
        DOCUMENT.write_text(report.renew(DOCUMENT.read_text(), text))
    written = BENCH / "figures.json" if quick else PLOTS / "figures.json"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(figures, indent=1) + "\n")
    _draw(written, BENCH / "plots" if quick else PLOTS)


def _measure(stage: Stage, *, quick: bool) -> dict[str, Any]:
    effort = QUICK if quick else FULL
    systems = compare(stage, effort)
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "titles": {system.module: system.title for system in SYSTEMS},
        "systems": systems,
        "goals": ratios(systems),
        "growth": grow(stage, effort),
        "parts": {name: _part(stage, name, quick=quick) for name in PARTS if find_spec(f"tests.benchmarks.{name}")},
    }


def _part(stage: Stage, name: str, *, quick: bool) -> Any:
    """Run a benchmark of its own module in a process whose settings are the stage's servers."""
    print(f"{name}", flush=True)
    code = f"import json; from tests.benchmarks.{name} import run; print(json.dumps(run(quick={quick})))"
    environment = stage.environment(name)
    environment |= {"REDIS_URL": stage.redis_url, "DATABASE_URL": environment["BENCH_DATABASE_URL"]}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"failed": done.stderr[-2000:]}


def _text(figures: dict[str, Any]) -> str:
    parts = [json.dumps({name: part}, indent=1) for name, part in figures["parts"].items()]
    tables = (report.table(figures["systems"]), report.goals(figures["goals"]), report.growth(figures["growth"]))
    return "\n\n".join(["", *tables, *parts, f"{figures['machine']}, measured in {figures['seconds']} s"])


def _draw(figures: Path, directory: Path) -> None:
    subprocess.run([PEERS_PYTHON, "-m", "tests.benchmarks.plots", figures, directory], cwd=ROOT, check=True)
    print(f"Figures in {figures}, plots in {directory}")


if __name__ == "__main__":
    main()

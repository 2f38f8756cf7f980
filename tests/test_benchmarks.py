"""The benchmark: who is measured, what is to be reached, and what becomes of a run that fails or is killed."""

import ast
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from tests.benchmarks import goals, report
from tests.benchmarks.__main__ import MEASURES, PARTS
from tests.benchmarks.effort import FULL, QUICK
from tests.benchmarks.goals import Figures, check
from tests.benchmarks.lineup import HUEY, OBAN, OURS, OURS_ROWS, PGQUEUER, SYSTEMS
from tests.benchmarks.rounds import compare
from tests.benchmarks.stage import Stage
from tests.benchmarks.system import System
from tests.eventually import eventually

BENCHMARKS = Path(__file__).parent / "benchmarks"
ROOT = BENCHMARKS.parent.parent
NAMES_OF_A_SYSTEM = {"send", "send_many", "send_stamp", "pending"}


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.key)
def test_every_measured_system_says_how_it_sends_and_what_is_pending(system: System) -> None:
    module = ast.parse((BENCHMARKS / "systems" / f"{system.module}.py").read_text())
    names = {name for statement in module.body for name in _bound(statement)}
    assert names >= NAMES_OF_A_SYSTEM


def test_our_own_systems_import_with_the_settings_of_the_benchmark() -> None:
    ours = {system.module: system.django for system in SYSTEMS if system.is_ours}
    imports = "; ".join(f"import tests.benchmarks.systems.{module}" for module in ours)
    environment = os.environ | {
        "BENCH_REDIS_URL": "redis://127.0.0.1:1/0",
        "BENCH_DATABASE_URL": "postgres://127.0.0.1:1/bench",
        "DJANGO_SETTINGS_MODULE": OURS.django,
        "ENV_FILE": os.devnull,
    }
    command = [sys.executable, "-c", f"import django; django.setup(); {imports}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_figures_are_kept_under_names_of_their_own() -> None:
    keys = [system.key for system in SYSTEMS]
    assert len(set(keys)) == len(keys)
    assert {system.key for system in QUICK.systems} < {system.key for system in FULL.systems} == set(keys)


def test_every_goal_is_about_something_that_is_measured() -> None:
    systems = {system.key: dict.fromkeys(report.COLUMNS, 10.0) for system in SYSTEMS}
    without_measures = {line["figure"] for line in check(Figures(systems)) if line["verdict"] == "not measured"}
    measures = dict.fromkeys((*MEASURES, *PARTS), _Anything())
    assert {line["verdict"] for line in check(Figures(systems, measures))} <= {"", "MISSED"}
    assert len(without_measures) < len(goals.GOALS) / 2


def test_a_goal_is_missed_reached_or_not_measured() -> None:
    assert _verdict({OURS.key: {"latency_p50": 0.9}, HUEY.key: {"latency_p50": 1.0}}) == "MISSED"
    assert _verdict({OURS.key: {"latency_p50": 0.8}, HUEY.key: {"latency_p50": 1.0}}) == ""
    assert _verdict({OURS.key: {"latency_p50": 0.8}}) == "not measured"


def test_a_missed_goal_is_printed_with_what_it_was_measured_against() -> None:
    figures = {OURS.key: {"latency_p50": 0.9}, HUEY.key: {"latency_p50": 1.0}}
    line = report.goals(check(Figures(figures))).splitlines()[1]
    assert line.split("  ")[0] == "start latency p50, fast lane, ms"
    assert "0.90" in line
    assert "<= 0.80" in line
    assert line.endswith("MISSED")


def test_the_best_of_those_that_were_measured_is_the_one_to_beat() -> None:
    figures = Figures({PGQUEUER.key: {"latency_p50": 5.0}, OBAN.key: {"latency_p50": 4.0}})
    assert figures.best(goals.KEEPERS, "latency_p50", lowest=True) is OBAN
    assert figures.best(goals.KEEPERS, "latency_p50") is PGQUEUER
    with pytest.raises(goals.NotMeasured):
        figures.best(goals.KEEPERS, "throughput")


def test_a_system_that_fails_is_named_with_its_reason_and_the_others_go_on() -> None:
    figures, failed = compare(cast("Stage", _StageWithout(OURS_ROWS)), replace(QUICK, systems=(OURS_ROWS,)))
    text = report.table(figures, failed)
    assert text.splitlines()[-1] == "this service, durable: not measured: No module named 'asyncpg'"


def test_the_measured_block_of_a_document_is_renewed_and_the_rest_kept() -> None:
    document = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    renewed = report.renew(document, "new\n")
    assert renewed == f"before\n{report.BEGIN}\n```text\nnew\n```\n{report.END}\nafter\n"
    assert report.renew(renewed, "new") == renewed


def test_a_run_that_is_killed_leaves_no_process_and_no_directory(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    program = """
import subprocess, sys, time
from pathlib import Path
from tests.benchmarks.leftovers import Leftovers
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
with Leftovers(Path(sys.argv[1])).watching(child.pid):
    print(child.pid, flush=True)
    time.sleep(600)
"""
    run = subprocess.Popen([sys.executable, "-c", program, directory], cwd=ROOT, stdout=subprocess.PIPE)
    assert run.stdout
    child = psutil.Process(int(run.stdout.readline()))
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    eventually(lambda: _has_ended(child))
    eventually(lambda: not directory.exists())


class _Anything(dict[str, Any]):
    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> float:
        return 10.0


class _StageWithout:
    """A stage on which a system does not even send its first message."""

    def __init__(self, system: System) -> None:
        self._system = system

    def prepare(self, system: System) -> None:
        assert system is self._system
        raise RuntimeError("Traceback (most recent call last):\nNo module named 'asyncpg'\n")


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _verdict(systems: dict[str, dict[str, float]]) -> str:
    return str(check(Figures(systems))[0]["verdict"])


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return [statement.name]
    if isinstance(statement, ast.ImportFrom):
        return [alias.asname or alias.name for alias in statement.names]
    return []

"""What idle workers, Valkey and PostgreSQL cost while many runs wait that are not to be started yet."""

import time

from tests.benchmarks.effort import Effort
from tests.benchmarks.lineup import OURS_ROWS
from tests.benchmarks.session import THREADS, running
from tests.benchmarks.stage import Stage

#: What waits, and for what; see `fill_with` in `systems/ours_rows.py`.
KINDS = ("nothing", "durable_delayed", "durable_behind_busy_threads", "fast_lane_delayed")
KINDS_OF_QUICK = KINDS[1:3]


def idle_beside(stage: Stage, effort: Effort) -> dict[str, float]:
    """Give the percentage of one core that all processes together use, by what waits."""
    kinds = KINDS_OF_QUICK if effort.is_quick else KINDS
    figures = {kind: _percent(stage, effort, kind=kind) for kind in kinds}
    return {"runs": effort.waiting, **figures, "worst": max(figures.values())}


def _percent(stage: Stage, effort: Effort, *, kind: str) -> float:
    print(f"waiting: {kind}", flush=True)
    with running(stage, OURS_ROWS, settle=effort.settle_seconds) as session:
        session.agent("fill", kind=kind, count=effort.waiting, busy=2 * THREADS)
        # What was just written is vacuumed and written to disk by then, so that only waiting is measured.
        time.sleep(2 * effort.settle_seconds)
        return round(session.idle_cpu(seconds=2 * effort.idle_seconds, servers=True), 2)

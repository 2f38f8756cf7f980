"""What idle workers, Valkey and PostgreSQL cost while many runs wait that are not to be started yet."""

from tests.benchmarks.effort import Effort
from tests.benchmarks.lineup import OURS_ROWS
from tests.benchmarks.session import THREADS, running
from tests.benchmarks.stage import Stage

#: What waits, and for what; see `fill_with` in `systems/ours_rows.py`.
KINDS = ("nothing", "durable_delayed", "durable_behind_busy_threads", "fast_lane_delayed")
#: What was just written is vacuumed and written to disk first, so that only waiting is measured.
_SETTLE_SECONDS = 3.0


def idle_beside(stage: Stage, effort: Effort) -> dict[str, float]:
    """Give the percentage of one core that all processes together use, by what waits."""
    figures = {kind: _percent(stage, effort, kind=kind) for kind in KINDS}
    return {"runs": effort.waiting, **figures, "worst": max(figures.values())}


def _percent(stage: Stage, effort: Effort, *, kind: str) -> float:
    print(f"waiting: {kind}", flush=True)
    with running(stage, OURS_ROWS, settle=_SETTLE_SECONDS) as session:
        session.agent("fill", kind=kind, count=effort.waiting, busy=2 * THREADS)
        session.idle_cpu(seconds=_SETTLE_SECONDS)
        return round(session.idle_cpu(seconds=4 * effort.idle_seconds, servers=True), 2)

"""Whether durable runs go on as fast after millions of them: bloat, vacuum, indexes. With `SOAK=1` only."""

from statistics import median

from tests.benchmarks.effort import Effort
from tests.benchmarks.lineup import OURS_ROWS
from tests.benchmarks.session import running
from tests.benchmarks.stage import Stage

#: Runs that are sent at once and worked off.
LEG = 100_000
#: The last legs whose median is compared with the first one.
LAST_LEGS = 5
_GIVE_UP_SECONDS = 300


def soak(stage: Stage, effort: Effort) -> dict[str, float]:
    """Give the runs a second of the first leg and of the last ones, and their ratio."""
    if not effort.soak:
        return {}
    with running(stage, OURS_ROWS) as session:
        rates = []
        for leg in range(effort.soak // LEG):
            rates.append(session.throughput(messages=LEG, seconds=_GIVE_UP_SECONDS))
            print(f"soak: {(leg + 1) * LEG:,} runs, {rates[-1]:,.0f} per s", flush=True)
    last = median(rates[-LAST_LEGS:])
    figures = {"runs": effort.soak, "first": rates[0], "last": last, "slowest": min(rates)}
    return {name: round(value) for name, value in figures.items()} | {"ratio": round(last / rates[0], 3)}

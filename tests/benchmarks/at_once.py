"""How many tasks that only wait run at once: 2,000 that await one second, on two processes of 500 places each."""

from dataclasses import replace
from typing import Any

from tests.benchmarks.effort import Effort
from tests.benchmarks.lineup import OBAN, OURS, OURS_ASYNC, PGQUEUER
from tests.benchmarks.peers import NotMeasurableError
from tests.benchmarks.session import running
from tests.benchmarks.stage import Stage
from tests.benchmarks.system import System

PLACES = 500
#: Longer than one after the other on as many threads as a process has, so that whoever runs them so is measured too.
_GIVE_UP_SECONDS = 60
#: The first is this service.
SYSTEMS = (
    replace(OURS_ASYNC, variant="_500", command=f"{OURS.command} --async-concurrency {PLACES}"),
    replace(PGQUEUER, variant="500", command=PGQUEUER.command.replace(" 10", f" {PLACES}")),
    replace(OBAN, variant="500", command=OBAN.command.replace(":10 ", f":{PLACES} ")),
)


def wait_together(stage: Stage, effort: Effort) -> dict[str, Any]:
    """Give the seconds until the last one ended, and the most that ran at once in a process, of ours and of others."""
    figures: dict[str, Any] = {"tasks": effort.naps}
    for system in SYSTEMS[:1] if effort.is_quick else SYSTEMS:
        print(f"async at once: {system.title}", flush=True)
        try:
            measured = _measure(stage, system, count=effort.naps)
        except (NotMeasurableError, RuntimeError) as error:
            measured = {"failed": str(error)}
        figures |= (
            measured if system is SYSTEMS[0] else {f"{system.module}: {key}": value for key, value in measured.items()}
        )
    return figures


def _measure(stage: Stage, system: System, *, count: int) -> dict[str, Any]:
    with running(stage, system) as session:
        told = session.agent("wait_together", count=count, seconds=_GIVE_UP_SECONDS)
    return {"seconds": round(told["seconds"], 2), "most_in_one_process": told["most"]}

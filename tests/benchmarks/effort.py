"""How long is measured."""

from dataclasses import dataclass

from tests.benchmarks.lineup import SYSTEMS, SYSTEMS_OF_QUICK
from tests.benchmarks.system import System


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure.

    Args:
        systems: Who is measured.
        rounds: How often each system has its turn.
        drain_seconds: How long one throughput run may take.
        idle_seconds: How long the workers are watched while they wait.
        settle_seconds: What workers get after their first task.
        latencies: How many messages are timed.
        singles: How many messages are sent one by one.
        backlogs: How many messages wait in the runs that show growth.
        share: Which part of a system's messages its throughput run sends.
        growth: Whether growth with payload size and number of workers is measured too.
        waiting: How many runs wait while the workers idle.
        naps: How many tasks wait for a second at once.
        soak: How many runs are worked off in a row; 0 for none.
    """

    systems: tuple[System, ...]
    rounds: int
    drain_seconds: float
    idle_seconds: float
    settle_seconds: float
    latencies: int
    singles: int
    backlogs: tuple[int, ...]
    share: float
    growth: bool
    waiting: int
    naps: int
    soak: int = 0

    @property
    def is_quick(self) -> bool:
        """Whether this is the short version."""
        return not self.growth


FULL = Effort(
    systems=tuple(SYSTEMS),
    rounds=3,
    drain_seconds=3,
    idle_seconds=5,
    settle_seconds=1,
    latencies=200,
    singles=500,
    backlogs=(1_000, 100_000, 1_000_000),
    share=1,
    growth=True,
    waiting=500_000,
    naps=2_000,
)
QUICK = Effort(
    systems=tuple(SYSTEMS_OF_QUICK),
    rounds=1,
    drain_seconds=0.7,
    idle_seconds=1,
    settle_seconds=0.2,
    latencies=30,
    singles=100,
    backlogs=(20_000,),
    share=0.2,
    growth=False,
    waiting=10_000,
    naps=2_000,
)
#: What `SOAK=1` works off.
SOAK_RUNS = 5_000_000

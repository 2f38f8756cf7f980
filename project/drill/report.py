"""What came of a drill, and which promises it broke."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from textwrap import fill
from typing import Any
from uuid import UUID

from project.drill.chaos import Kill
from project.drill.executions import Execution
from project.drill.limits import exceeded
from project.drill.outages import Outage
from project.tasks.policy import Policy

#: A run is to start again within so many seconds after its worker was killed, 99 times out of 100: 10 s of silence
#: until a worker is presumed dead, and time to find it and to publish the run.
RESCUE_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures of a drill.

    Args:
        sent: Runs whose transaction committed.
        succeeded: Runs that succeeded.
        poison: Runs that are dead because their worker was killed three times while it ran them.
        lost: Runs that are neither, or succeeded without having been executed.
        more_than_once: Runs that were executed more than once.
        unexplained: Those among them whose worker was not killed in between.
        concurrent: Runs of which two executions overlapped.
        unsettled: Batches that are still open though their members have ended.
        over_limit: Executions that began although their task's limit did not allow it.
        rescues: How often a run started again after its worker was killed.
        rescue_p50: Seconds from the kill to that start, in half of the cases at most; not counted are those in
            which a server was out.
        rescue_p99: The same, in 99 of 100 cases.
        seconds: From the first send to the last end.
        throughput: Executions in a second.
        chaos: What was done, and how often.
    """

    sent: int
    succeeded: int
    poison: int
    lost: int
    more_than_once: int
    unexplained: int
    concurrent: int
    unsettled: int
    over_limit: int
    rescues: int
    rescue_p50: float
    rescue_p99: float
    seconds: float
    throughput: float
    chaos: dict[str, int]

    def broken_promises(self) -> list[str]:
        """Say which promises were broken."""
        promises = {
            f"{self.lost} runs were lost": self.lost == 0,
            f"{self.concurrent} runs were executed by two workers at once": self.concurrent == 0,
            f"{self.unexplained} runs were executed again though no worker was killed": self.unexplained == 0,
            f"{self.unsettled} batches were never settled": self.unsettled == 0,
            f"{self.over_limit} executions exceeded a limit": self.over_limit == 0,
            f"p99 of the rescue is over {RESCUE_SECONDS:g} s": self.rescue_p99 <= RESCUE_SECONDS,
        }
        return [broken for broken, kept in promises.items() if not kept]

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {**asdict(self), "broken_promises": self.broken_promises()}

    def as_text(self) -> str:
        """Return what people read."""
        chaos = ", ".join(f"{name.replace('_', ' ')} {times}x" for name, times in sorted(self.chaos.items()))
        lines = {
            "chaos": chaos,
            "sent": f"{self.sent:,}",
            "lost": f"{self.lost:,}",
            "executed concurrently": f"{self.concurrent:,}",
            "over a limit": f"{self.over_limit:,}",
            "executed more than once": f"{self.more_than_once:,} ({self.unexplained:,} without a killed worker)",
            "dead as poison": f"{self.poison:,} (worker killed three times)",
            "rescue": f"{self.rescues:,} times, p50 {self.rescue_p50:.1f} s, p99 {self.rescue_p99:.1f} s",
            "throughput": f"{self.throughput:,.0f} executions a second, for {self.seconds:.0f} s",
        }
        verdict = [f"BROKEN: {promise}" for promise in self.broken_promises()] or ["Every promise was kept."]
        rows = (fill(f"{name:<24}{value}", 120, subsequent_indent=" " * 24) for name, value in lines.items())
        return "\n".join([*rows, *verdict])


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a drill leaves behind to be judged by.

    Args:
        ends: The state and the deaths of each run that there is a row of.
        sent: The runs that were sent.
        executions: What was executed, in the order in which it began.
        kills: Which processes were killed.
        outages: When a server was out.
        unsettled: Batches that are still open.
        chaos: What was done, and how often.
        most_deaths: After so many deaths a run is poison.
        limited: The policies of the tasks that have a limit, by task.
    """

    ends: dict[UUID, tuple[str, int]]
    sent: Sequence[UUID]
    executions: Sequence[Execution]
    kills: Sequence[Kill]
    outages: Sequence[Outage]
    unsettled: int
    chaos: dict[str, int]
    most_deaths: int
    limited: Mapping[str, Policy]


def report(evidence: Evidence) -> Report:
    """Judge a drill."""
    killed = {kill.pid: kill.at for kill in evidence.kills}
    histories = _histories(evidence.executions)
    again = [pair for history in histories.values() for pair in pairwise(history)]
    rescues = _rescues(again, killed, outages=evidence.outages)
    succeeded, poison = _succeeded(evidence), _poison(evidence)
    seconds = _seconds(evidence.executions)
    return Report(
        sent=len(evidence.sent),
        succeeded=succeeded,
        poison=poison,
        lost=len(evidence.sent) - succeeded - poison,
        more_than_once=sum(len(history) > 1 for history in histories.values()),
        unexplained=len({before.run_id for before, after in again if not _explains(before, after, killed)}),
        concurrent=sum(_overlap(history, killed) for history in histories.values()),
        unsettled=evidence.unsettled,
        over_limit=exceeded(evidence.executions, evidence.limited, killed=killed),
        rescues=len(rescues),
        rescue_p50=_quantile(rescues, 0.5),
        rescue_p99=_quantile(rescues, 0.99),
        seconds=seconds,
        throughput=len(evidence.executions) / seconds if seconds > 0 else 0.0,
        chaos=evidence.chaos,
    )


def _succeeded(evidence: Evidence) -> int:
    """Count the runs whose row says so and whose execution was written down as well."""
    done = {execution.run_id for execution in evidence.executions if execution.outcome == "done"}
    rows = {run_id for run_id, (state, _) in evidence.ends.items() if state == "succeeded"}
    return sum(run_id in rows and run_id in done for run_id in evidence.sent)


def _poison(evidence: Evidence) -> int:
    return sum(evidence.ends.get(run_id) == ("dead", evidence.most_deaths) for run_id in evidence.sent)


def _rescues(
    again: Sequence[tuple[Execution, Execution]], killed: dict[int, float], *, outages: Sequence[Outage]
) -> list[float]:
    """Return how many seconds each run whose worker was killed waited for its next start, in ascending order."""
    rescued = [(killed[before.pid], after.began_at) for before, after in again if _explains(before, after, killed)]
    return sorted(_seconds_in_service(*rescue, outages=outages) for rescue in rescued)


def _seconds(executions: Sequence[Execution]) -> float:
    """Return how long it took from the first begin to the last end."""
    began = min((execution.began_at for execution in executions), default=0.0)
    return max((execution.ended_at or 0.0 for execution in executions), default=0.0) - began


def _histories(executions: Sequence[Execution]) -> dict[UUID, list[Execution]]:
    histories: dict[UUID, list[Execution]] = defaultdict(list)
    for execution in executions:
        histories[execution.run_id].append(execution)
    return histories


def _explains(before: Execution, after: Execution, killed: dict[int, float]) -> bool:
    """Tell whether a kill of its worker explains why there is another execution."""
    return killed.get(before.pid, float("inf")) <= after.began_at


def _seconds_in_service(began_at: float, ended_at: float, *, outages: Sequence[Outage]) -> float:
    """Return how many seconds there are between two times in which no server was out."""
    out = (min(outage.ended_at, ended_at) - max(outage.began_at, began_at) for outage in outages)
    return ended_at - began_at - sum(seconds for seconds in out if seconds > 0)


def _overlap(history: Sequence[Execution], killed: dict[int, float]) -> bool:
    latest = float("-inf")
    for execution in history:
        if execution.began_at < latest:
            return True
        latest = max(latest, execution.ended_at or killed.get(execution.pid, float("inf")))
    return False


def _quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))] if ascending else 0.0

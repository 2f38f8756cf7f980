"""Whether the limits of the drill's tasks were kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from project.drill.executions import Execution
from project.tasks.policy import Policy


def exceeded(executions: Sequence[Execution], policies: Mapping[str, Policy], *, killed: Mapping[int, float]) -> int:
    """Count the executions that began although their task's limit did not allow it.

    Args:
        executions: What was executed.
        policies: The policies of the tasks that have a limit, by task.
        killed: When processes were killed, on the database's clock.
    """
    by_limit: dict[tuple[str, str], list[Execution]] = defaultdict(list)
    for execution in executions:
        if execution.task in policies:
            by_limit[execution.task, execution.key].append(execution)
    return sum(_exceeded(those, policies[task], killed) for (task, _), those in by_limit.items())


def _exceeded(executions: Sequence[Execution], policy: Policy, killed: Mapping[int, float]) -> int:
    too_soon = _too_soon(executions, policy.rate.limit, policy.rate.period) if policy.rate else 0
    return too_soon + (_too_many(executions, policy.max_concurrency, killed) if policy.max_concurrency else 0)


def _too_soon(executions: Sequence[Execution], limit: int, period: timedelta) -> int:
    """Count the starts of code that share a window with as many before them as are allowed."""
    starts = sorted(execution.started for execution in executions)
    return sum(later - earlier < period.total_seconds() for earlier, later in zip(starts, starts[limit:], strict=False))


def _too_many(executions: Sequence[Execution], most: int, killed: Mapping[int, float]) -> int:
    """Count the executions that began while as many as are allowed were under way."""
    ends: list[float] = []
    found = 0
    for execution in sorted(executions, key=lambda one: one.began_at):
        ends = [end for end in ends if end > execution.began_at]
        found += len(ends) >= most
        ends.append(execution.ended_at or killed.get(execution.pid, float("inf")))
    return found

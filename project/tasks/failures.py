"""Dead runs grouped by what they died of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from project.tasks.filters import RunFilter
from project.tasks.models import TaskRun

#: How many dead runs are grouped: the newest.
MOST_GROUPED = 100_000

# The inner query reads nothing but the index `run_by_rare_state` and the rows it leads to, newest first.
_GROUP = """
    SELECT newest.fingerprint, newest.task, newest.error_type, count(*), min(newest.at), max(newest.at),
           (array_agg(newest.id ORDER BY newest.id DESC))[1]
      FROM (SELECT id, fingerprint, task, error_type, coalesce(finished_at, created_at) AS at
              FROM tasks_taskrun WHERE state = 'dead' ORDER BY id DESC LIMIT %(most)s) AS newest
     GROUP BY newest.fingerprint, newest.task, newest.error_type
     ORDER BY max(newest.at) DESC LIMIT %(groups)s
"""


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Runs that died in the same way.

    Args:
        fingerprint: What they have in common: task, exception and place in our code; "" if no code raised.
        task: Their task.
        error_type: The exception.
        runs: How many there are.
        first: When the first of them died.
        last: When the last of them died.
        example: The newest of them.
        error: What it said.
    """

    fingerprint: str
    task: str
    error_type: str
    runs: int
    first: datetime
    last: datetime
    example: UUID
    error: str

    @property
    def filter(self) -> RunFilter:
        """The filter that finds these runs."""
        return RunFilter(state="dead", task=self.task, fingerprint=self.fingerprint, error_type=self.error_type)


def failure_groups(*, groups: int = 100) -> list[FailureGroup]:
    """Return the kinds of failure among the newest `MOST_GROUPED` dead runs, the latest first: two queries.

    Args:
        groups: How many to return at most.
    """
    with connection.cursor() as cursor:
        cursor.execute(_GROUP, {"most": MOST_GROUPED, "groups": groups})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    errors = dict(TaskRun.objects.filter(id__in=[row[-1] for row in rows]).values_list("id", "error"))
    return [_group(*row, error=errors.get(row[-1], "")) for row in rows]


def _group(*row: Any, error: str) -> FailureGroup:
    fingerprint, task, error_type, runs, first, last, example = row
    return FailureGroup(
        fingerprint=fingerprint,
        task=task,
        error_type=error_type,
        runs=runs,
        first=first,
        last=last,
        example=example,
        error=error,
    )

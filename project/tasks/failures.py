"""Dead runs grouped by what they died of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from project.tasks.filters import RunFilter
from project.tasks.models import TaskRun

# Reads nothing but the index `run_by_failure`, in its order; the newest id of a group comes first.
_GROUP = """
    SELECT fingerprint, task, error_type, count(*), (array_agg(id ORDER BY id DESC))[1] AS newest
      FROM (SELECT fingerprint, task, error_type, id FROM tasks_taskrun WHERE state = 'dead'
             ORDER BY fingerprint, task, error_type, id DESC) AS dead
     GROUP BY fingerprint, task, error_type ORDER BY newest DESC LIMIT %(groups)s
"""


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Runs that died in the same way.

    Args:
        fingerprint: What they have in common: task, exception and place in our code; "" if no code raised.
        task: Their task.
        error_type: The exception.
        runs: How many there are.
        newest: The one that was sent last.
        died_at: When that one died.
        error: What it said.
    """

    fingerprint: str
    task: str
    error_type: str
    runs: int
    newest: UUID
    died_at: datetime | None
    error: str

    @property
    def filter(self) -> RunFilter:
        """The filter that finds these runs."""
        return RunFilter(state="dead", task=self.task, fingerprint=self.fingerprint, error_type=self.error_type)


def failure_groups(*, groups: int = 100) -> list[FailureGroup]:
    """Return the kinds of failure, those of the newest runs first: two queries.

    Args:
        groups: How many to return at most.
    """
    with connection.cursor() as cursor:
        cursor.execute(_GROUP, {"groups": groups})
        rows: list[tuple[str, str, str, int, UUID]] = cursor.fetchall()
    newest = TaskRun.objects.only("error", "finished_at").in_bulk([row[-1] for row in rows])
    # Between the two queries a run may have been pruned.
    return [_group(row, newest[row[-1]]) for row in rows if row[-1] in newest]


def _group(row: tuple[str, str, str, int, UUID], newest: TaskRun) -> FailureGroup:
    fingerprint, task, error_type, runs, newest_id = row
    return FailureGroup(
        fingerprint=fingerprint,
        task=task,
        error_type=error_type,
        runs=runs,
        newest=newest_id,
        died_at=newest.finished_at,
        error=newest.error,
    )

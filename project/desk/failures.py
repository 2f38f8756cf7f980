"""Dead runs grouped by what they died of."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from django.db import connection

from project.tasks.repair.filters import RunFilter

# Reads nothing but the index `run_by_failure`, in its order, and then one row of each group that is returned.
_GROUP = """
    WITH kind AS MATERIALIZED (
        SELECT fingerprint, task, error_type, count(*) AS runs, max(finished_at) AS died_at
          FROM tasks_taskrun WHERE state = 'dead'
         GROUP BY fingerprint, task, error_type ORDER BY died_at DESC NULLS LAST, task LIMIT %(groups)s
    )
    SELECT kind.fingerprint, kind.task, kind.error_type, kind.runs, newest.id, kind.died_at, newest.error
      FROM kind CROSS JOIN LATERAL (
        SELECT id, error FROM tasks_taskrun AS run
         WHERE state = 'dead' AND run.fingerprint = kind.fingerprint AND run.task = kind.task
           AND run.error_type = kind.error_type AND run.finished_at IS NOT DISTINCT FROM kind.died_at
         LIMIT 1
      ) AS newest
     ORDER BY kind.died_at DESC NULLS LAST, kind.task
"""


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Runs that died in the same way.

    Args:
        fingerprint: What they have in common: task, exception and place in our code; "" if no code raised.
        task: Their task.
        error_type: The exception.
        runs: How many there are.
        newest: The one that died last.
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
    """Return the kinds of failure, the one that killed a run last first: one query.

    Args:
        groups: How many to return at most.
    """
    with connection.cursor() as cursor:
        cursor.execute(_GROUP, {"groups": groups})
        names = [field.name for field in fields(FailureGroup)]
        return [FailureGroup(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]

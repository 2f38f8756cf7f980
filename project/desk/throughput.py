"""What the tasks did lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from project.values.ids import first_uuid7

#: What "lately" means.
RECENT = timedelta(hours=1)
#: No more runs than this are read: those sent last, and as many that ended last.
MOST_READ = 50_000

# Ids sort by the time of sending, so the first part reads the end of the primary key; the second has an index. A run
# that waits for another attempt has ended one, too.
_COUNT = """
    SELECT task, count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'succeeded'),
           count(*) FILTER (WHERE state = 'dead'), count(*) FILTER (WHERE failures > 0),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE state = 'succeeded'),
           percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE state = 'succeeded')
      FROM (
        (SELECT task, 'sent' AS state, 0 AS failures, NULL AS seconds
           FROM tasks_taskrun WHERE id >= %(since)s ORDER BY id DESC LIMIT %(most)s)
        UNION ALL
        (SELECT task, state, failures, extract(epoch FROM finished_at - started_at)
           FROM tasks_taskrun WHERE finished_at >= now() - %(recent)s * interval '1 second'
          ORDER BY finished_at DESC LIMIT %(most)s)
      ) AS lately
     GROUP BY task ORDER BY count(*) DESC, task
"""


@dataclass(frozen=True, kw_only=True)
class TaskThroughput:
    """What one task did lately.

    Args:
        task: Its name.
        sent: Runs that were sent.
        succeeded: Runs that ended with a result.
        dead: Runs that died, and still need attention.
        failing: Runs of which an attempt ended, and that have failed at least once since their last retry by hand.
        median: What the median of its successful attempts took.
        slowest: What 99 of 100 took at most.
    """

    task: str
    sent: int
    succeeded: int
    dead: int
    failing: int
    median: timedelta | None
    slowest: timedelta | None


def recent_throughput() -> list[TaskThroughput]:
    """Return what each task did in the past hour, the busiest first; one query over twice `MOST_READ` runs at most."""
    with connection.cursor() as cursor:
        since = first_uuid7(timezone.now() - RECENT)
        cursor.execute(_COUNT, {"since": since, "recent": RECENT.total_seconds(), "most": MOST_READ})
        return [
            TaskThroughput(
                task=task,
                sent=sent,
                succeeded=succeeded,
                dead=dead,
                failing=failing,
                median=_seconds(median),
                slowest=_seconds(slowest),
            )
            for task, sent, succeeded, dead, failing, median, slowest in cursor.fetchall()
        ]


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)

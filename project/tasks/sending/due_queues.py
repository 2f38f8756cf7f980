"""In which queues runs are due; however many wait in a paused queue, that is answered at once."""

from __future__ import annotations

from typing import Final

from project.database.prepared_statements import run_prepared

# The queues in which any wait are looked up one after the other, each with one step in the index.
DUE_QUEUES: Final = """
    WITH RECURSIVE place (queue) AS (
        (SELECT queue FROM tasks_taskrun
          WHERE state IN ('pending', 'retrying') AND limit_key = '' ORDER BY queue LIMIT 1)
        UNION ALL
        SELECT (SELECT queue FROM tasks_taskrun
                 WHERE state IN ('pending', 'retrying') AND limit_key = '' AND queue > place.queue
                 ORDER BY queue LIMIT 1)
          FROM place WHERE place.queue IS NOT NULL
    )
    SELECT queue FROM place
     WHERE queue NOT IN (SELECT queue FROM tasks_pausedqueue)
       AND EXISTS (SELECT FROM tasks_taskrun AS run
                    WHERE state IN ('pending', 'retrying') AND limit_key = '' AND run.queue = place.queue
                      AND run_after <= statement_timestamp())
"""


def due_queues() -> list[str]:
    """Name the queues that are not paused and in which runs without a limit are due."""
    return [queue for (queue,) in run_prepared(DUE_QUEUES, {})]

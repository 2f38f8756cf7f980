"""This service's durable lane over a table whose history stays."""

from project.tasks.models import TaskRun
from tests.benchmarks.systems import ours
from tests.benchmarks.systems.ours_rows import make_tables, send, send_many, send_stamp

__all__ = ["make_tables", "pending", "send", "send_many", "send_stamp"]


def pending() -> int:
    """Count messages; once there is none, rows without an outcome, in a way that does not read the history."""
    states = (TaskRun.State.QUEUED, TaskRun.State.RUNNING)
    return ours.pending() or sum(TaskRun.objects.filter(state=state).count() for state in states)

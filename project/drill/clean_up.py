"""Removes a drill's traces from configured servers."""

from project.broker.service import broker
from project.drill import executions
from project.drill.tasks import QUEUE, SENT
from project.tasks.models import TaskRun


def clean_up() -> None:
    """Delete the drill's table, its runs and what is left of its queue."""
    executions.drop()
    TaskRun.objects.filter(task__in=SENT).delete()
    namespace = broker().namespace
    for pattern in (f"{namespace}:{QUEUE}", f"{namespace}:{QUEUE}.*", f"{namespace}:__*__.*.{QUEUE}*"):
        for key in broker().client.scan_iter(match=pattern):
            broker().client.delete(key)
    broker().client.srem(f"{namespace}:__queues__", QUEUE, f"{QUEUE}.DQ")

"""The machinery's own background work."""

from datetime import timedelta

from django.conf import settings

from project.names import TaskName
from project.tasks.actor import task
from project.tasks.upkeep import pruning
from project.tasks.upkeep.pruning import PruneResult


@task(TaskName.PRUNE, queue="maintenance", max_retries=3, time_limit=timedelta(hours=1), unique=True)
def prune() -> PruneResult:
    """Delete runs that ended longer ago than the settings keep them."""
    return pruning.prune(
        succeeded_days=settings.HISTORY_DAYS_SUCCEEDED,
        others_days=settings.HISTORY_DAYS_FAILED,
    )

"""Which runs are somebody's own, for the API and the pages alike."""

from uuid import UUID

from django.db.models import Q, QuerySet

from project.tasks.models import TaskRun


def runs_caused_by(user_id: int) -> QuerySet[TaskRun]:
    """Return the runs that a user has caused; an index leads to them."""
    return TaskRun.objects.filter(user=user_id, user__isnull=False)


def find_own_run(run_id: UUID, *, user_id: int) -> TaskRun:
    """Return a run that a user may see as theirs.

    Raises:
        TaskRun.DoesNotExist: If there is none, or it is somebody else's.
    """
    # Of a unique task, the run that somebody else has sent for you answers your own request too.
    sent_for_you = Q(unique_key__isnull=False, arguments__user_id=user_id)
    caused_by_you = Q(user=user_id, user__isnull=False)
    return TaskRun.objects.get(caused_by_you | sent_for_you, id=run_id)

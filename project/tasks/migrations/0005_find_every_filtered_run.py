"""Lead to the runs of a queue, an error and a kind of failure with an index, and write less for a run that succeeds."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

ENDED = Q(("state__in", ("succeeded", "dead", "cancelled", "expired", "discarded")))


class Migration(migrations.Migration):
    # Runs are sent and executed while the indexes are built.
    atomic = False
    dependencies = [
        ("tasks", "0004_find_actions_by_target"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(fields=["task", "-id"], name="run_ended_by_task", condition=ENDED),
        ),
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(fields=["queue", "-id"], name="run_ended_by_queue", condition=ENDED),
        ),
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(
                condition=Q(("fingerprint", ""), _negated=True),
                fields=["fingerprint", "-id"],
                name="run_by_fingerprint",
            ),
        ),
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(
                condition=Q(("error_type", ""), _negated=True), fields=["error_type", "-id"], name="run_by_error"
            ),
        ),
        RemoveIndexConcurrently(model_name="taskrun", name="run_by_failure"),
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(
                fields=["fingerprint", "task", "error_type", "-id"],
                name="run_by_failure",
                condition=Q(("state", "dead")),
                include=["finished_at"],
            ),
        ),
        RemoveIndexConcurrently(model_name="taskrun", name="run_by_task"),
    ]

"""Find when the next of the runs that wait for a limit is due, however many they are."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    # Runs are sent and executed while the index is built.
    atomic = False
    dependencies = [
        ("tasks", "0013_rate_limits"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(
                fields=["limit_key", "run_after"],
                name="run_next_of_limit",
                condition=~Q(limit_key="") & Q(state__in=("pending", "retrying")),
            ),
        ),
    ]

"""Lead the relay to the runs that had started and were freed, however many others are due."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Runs are sent and executed while the index is built.
    atomic = False
    dependencies = [
        ("tasks", "0008_database_clock"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(
                fields=["run_after"],
                name="run_to_publish_first",
                condition=models.Q(("deaths__gt", 0), ("state__in", ("pending", "retrying"))),
            ),
        ),
    ]

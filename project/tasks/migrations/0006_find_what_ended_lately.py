"""Lead to the runs that ended lately, whenever they were sent."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Runs are sent and executed while the index is built.
    atomic = False
    dependencies = [
        ("tasks", "0005_find_every_filtered_run"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(
                fields=["-finished_at"],
                name="run_ended_lately",
                condition=models.Q(("finished_at__isnull", False)),
            ),
        ),
    ]

"""Let the index of when runs ended ascend: it is half as large then."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Runs are sent and executed meanwhile; what asks for those that ended lately finds one of the two.
    atomic = False
    dependencies = [
        ("tasks", "0014_next_of_each_limit"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(
                fields=["finished_at"], name="run_ended_at", condition=models.Q(("finished_at__isnull", False))
            ),
        ),
        RemoveIndexConcurrently(model_name="taskrun", name="run_ended_lately"),
    ]

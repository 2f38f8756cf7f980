"""Lead the relay to the queues in which runs are due, past the backlog of a paused one."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Runs are sent and executed while the index is built.
    atomic = False
    dependencies = [
        ("tasks", "0011_slots_for_limited_runs"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(
                fields=["queue", "run_after"],
                name="run_to_publish_by_queue",
                condition=models.Q(("limit_key", ""), ("state__in", ("pending", "retrying"))),
            ),
        ),
    ]

"""Say since when a run is put off, and which unique key it waits for."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    # Runs are sent and executed while the index is built.
    atomic = False
    dependencies = [
        ("tasks", "0006_find_what_ended_lately"),
    ]

    operations = [
        migrations.AddField(
            model_name="taskrun",
            name="postponed_since",
            field=models.DateTimeField(blank=True, help_text="When it was first put off.", null=True),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="postponements",
            field=models.PositiveIntegerField(
                db_default=0, default=0, help_text="How often an attempt was put off, which is no failure."
            ),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="waits_for_key",
            field=models.CharField(
                blank=True, help_text="Not published before this unique key is free.", max_length=200, null=True
            ),
        ),
        AddIndexConcurrently(
            model_name="taskrun",
            index=models.Index(
                condition=Q(waits_for_key__isnull=False, state="pending"),
                fields=["waits_for_key", "id"],
                name="run_waiting_for_key",
            ),
        ),
    ]

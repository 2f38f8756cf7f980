"""Count the starts of tasks with a rate limit, and plan when to look at what waits for a limit."""

from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0012_look_past_paused_queues"),
    ]

    operations = [
        migrations.CreateModel(
            name="Limit",
            fields=[
                ("key", models.CharField(max_length=200, primary_key=True, serialize=False)),
                (
                    "started",
                    models.BigIntegerField(db_default=0, default=0, help_text="How many starts were counted."),
                ),
                (
                    "look_at",
                    models.DateTimeField(
                        blank=True, help_text="When the next of those that wait may start.", null=True
                    ),
                ),
            ],
            options={
                "ordering": ("key",),
                "indexes": [
                    models.Index(fields=["look_at"], name="limit_to_look_at", condition=Q(look_at__isnull=False)),
                ],
            },
        ),
        migrations.CreateModel(
            name="Start",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "limit_key", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("limit_key", models.CharField(max_length=200)),
                ("number", models.BigIntegerField(help_text="Which start of the limit it was, from 1.")),
                ("at", models.DateTimeField(db_default=Now())),
            ],
        ),
    ]

"""Retry in bulk, and find runs by what operators ask for."""

import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import project.values.ids


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0002_audit_is_append_only"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BulkRetry",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=project.values.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("filter", models.JSONField(help_text="Which runs it retries.")),
                ("rate", models.FloatField(help_text="Runs a second.")),
                (
                    "max_error_share",
                    models.FloatField(help_text="It stops when a larger share of what it retried fails again."),
                ),
                ("who", models.CharField(max_length=150)),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "stepped_at",
                    models.DateTimeField(default=django.utils.timezone.now, help_text="When it last retried some."),
                ),
                (
                    "after_id",
                    models.UUIDField(blank=True, help_text="It has looked at every run up to this one.", null=True),
                ),
                ("retried", models.PositiveIntegerField(default=0)),
                ("refused", models.PositiveIntegerField(default=0, help_text="Runs that could not be retried.")),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("done", "all retried"),
                            ("failing", "stopped: too many failed again"),
                            ("stopped", "stopped by an operator"),
                        ],
                        max_length=10,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "bulk retries",
                "ordering": ("-id",),
            },
        ),
        migrations.AddField(
            model_name="taskrun",
            name="bulk_id",
            field=models.UUIDField(blank=True, help_text="The bulk retry that retried it last.", null=True),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("state__in", ("retrying", "dead", "cancelled", "expired", "discarded"))),
                fields=["task", "state", "-id"],
                name="run_by_task_and_rare_state",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("state", "dead")),
                fields=["fingerprint", "task", "error_type", "-id"],
                name="run_by_failure",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("parent_id__isnull", False)), fields=["parent_id"], name="run_by_parent"
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("bulk_id__isnull", False)), fields=["bulk_id", "state"], name="run_by_bulk"
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("schedule", ""), _negated=True), fields=["schedule", "-id"], name="run_by_schedule"
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("request_id", ""), _negated=True),
                fields=["request_id", "-id"],
                name="run_by_request",
            ),
        ),
        migrations.AddIndex(
            model_name="bulkretry",
            index=models.Index(condition=models.Q(("finished_at__isnull", True)), fields=["id"], name="bulk_open"),
        ),
    ]

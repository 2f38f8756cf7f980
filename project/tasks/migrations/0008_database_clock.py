"""Have the database stamp rows with its own clock, and note since when a process beats without a gap."""

import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0007_waiting_for_keys_and_workers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="worker",
            name="listening_since",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(),
                help_text="Since when it beats without a gap: only then may it judge the silence of others.",
            ),
        ),
        migrations.AlterField(
            model_name="bulkretry",
            name="created_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AlterField(
            model_name="bulkretry",
            name="stepped_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), help_text="When it last retried some."
            ),
        ),
        migrations.AlterField(
            model_name="operatoraction",
            name="at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True),
        ),
        migrations.AlterField(
            model_name="pausedqueue",
            name="paused_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AlterField(
            model_name="taskattempt",
            name="finished_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AlterField(
            model_name="taskbatch",
            name="created_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AlterField(
            model_name="taskrun",
            name="created_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AlterField(
            model_name="taskrun",
            name="run_after",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), help_text="Not before this time."
            ),
        ),
        migrations.AlterField(
            model_name="worker",
            name="beat_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AlterField(
            model_name="worker",
            name="started_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
    ]

"""Find what was done to a run without reading the whole record."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0003_operators_view"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="operatoraction",
            index=models.Index(fields=["target", "-id"], name="action_by_target"),
        ),
    ]

"""Say that some act by themselves."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0009_find_what_had_started"),
    ]

    operations = [
        migrations.AlterField(
            model_name="operatoraction",
            name="source",
            field=models.CharField(help_text="admin, api, command or system", max_length=10),
        ),
        migrations.AlterField(
            model_name="operatoraction",
            name="target",
            field=models.CharField(
                help_text="A run's id, a queue's or a schedule's name, or the filter of a bulk action.", max_length=200
            ),
        ),
        migrations.AlterField(
            model_name="operatoraction",
            name="who",
            field=models.CharField(
                help_text="The user's name, the account that ran the command, or what acted by itself.", max_length=150
            ),
        ),
    ]

"""The app of the clock."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SchedulerConfig(AppConfig):
    """Writes the declared schedules into the database whenever it is migrated."""

    name = "scheduler"
    verbose_name = "Clock"

    def ready(self) -> None:
        """Register the checks and the sync."""
        from scheduler import checks  # noqa: F401, PLC0415 - registers itself; needs the models
        from scheduler.sync import sync_after_migrate  # noqa: PLC0415 - needs the models

        post_migrate.connect(sync_after_migrate, sender=self)

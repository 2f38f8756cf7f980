"""The app of the task machinery."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.utils.module_loading import import_string
from dramatiq.broker import get_broker

from project.broker.broker import ServiceBroker
from project.values.far_times import read_far_times


class TasksConfig(AppConfig):
    """Makes every task known to every process, and checks what was declared."""

    name = "project.tasks"
    verbose_name = "Tasks"

    def ready(self) -> None:
        """Complete database and broker, then import the registry, which imports every task."""
        read_far_times()
        for path in settings.TASKS_MIDDLEWARE:
            get_broker().add_middleware(import_string(path)())
        import_module("project.tasks.checks")
        import_module("project.database.checks")
        import_module(settings.TASKS_REGISTRY)
        broker = get_broker()
        if isinstance(broker, ServiceBroker):
            broker.stand_in = import_string("project.tasks.running.unknown_task.UnknownTask")
            broker.claims = import_string("project.tasks.running.claims_ahead.ClaimsAhead")()

"""The app in which operators see and repair."""

from django.apps import AppConfig
from django.contrib import admin


class DeskConfig(AppConfig):
    name = "project.desk"

    def ready(self) -> None:
        """Put the link to the operations page on the admin's first page, and take off what would mislead there."""
        from django_dramatiq.models import Task  # noqa: PLC0415 - models are not there before

        admin.site.index_template = "desk/admin_index.html"
        # Another table of tasks, into which nothing writes here.
        admin.site.unregister(Task)

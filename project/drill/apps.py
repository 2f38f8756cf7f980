"""The app of `manage.py drill`."""

from django.apps import AppConfig


class DrillConfig(AppConfig):
    name = "project.drill"

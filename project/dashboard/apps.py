"""The app of the operations page."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "project.dashboard"

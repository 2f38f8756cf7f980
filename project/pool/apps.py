"""The app of `rundramatiq`."""

from django.apps import AppConfig


class PoolConfig(AppConfig):
    name = "project.pool"

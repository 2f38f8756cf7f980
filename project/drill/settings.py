"""The service's settings for a drill's processes, which also know its task."""

from project.settings import *  # noqa: F403

TASKS_REGISTRY = "project.drill.registry"
# It is no part of the service's contract.
SILENCED_SYSTEM_CHECKS = ["tasks.E003"]

"""The service's settings for worker processes that also know the tasks of acceptance tests."""

from datetime import timedelta

from project.settings import *  # noqa: F403

TASKS_REGISTRY = "tests.acceptance.registry"
# These tasks are no part of the service's contract.
SILENCED_SYSTEM_CHECKS = ["tasks.E003"]
TASKS_TIME_LIMIT_GRACE = timedelta(seconds=1)

"""The service's settings, with the measured tasks."""

import os

os.environ["REDIS_URL"] = os.environ["BENCH_REDIS_URL"]
os.environ["DATABASE_URL"] = os.environ["BENCH_DATABASE_URL"]
os.environ["ENVIRONMENT"] = "test"

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.benchmarks.ours"]

"""The service's settings in production, with its defaults, and with the measured tasks."""

import os

os.environ["REDIS_URL"] = os.environ["BENCH_REDIS_URL"]
os.environ["DATABASE_URL"] = os.environ["BENCH_DATABASE_URL"]
os.environ["ENVIRONMENT"] = "production"
os.environ["ALLOWED_HOSTS"] = "localhost"
os.environ["SECRET_KEY"] = "a key of the benchmark that is long enough, and secret to nobody"

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.benchmarks.ours"]

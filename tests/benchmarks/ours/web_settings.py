"""The service's settings in production, with its defaults, and with the address that is measured beside the others."""

import os

os.environ["ENVIRONMENT"] = "production"
os.environ["ALLOWED_HOSTS"] = "localhost"
os.environ["SECRET_KEY"] = "a key of the benchmark that is long enough, and secret to nobody"
# The clients of the benchmark speak plain HTTP.
os.environ["SECURE_SSL_REDIRECT"] = "false"

from project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.ours.urls"

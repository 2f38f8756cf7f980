"""Celery with a row for each task: django-celery-results on PostgreSQL, started tasks tracked."""

from django.core.management import call_command

from tests.benchmarks.systems import celery_
from tests.benchmarks.systems.celery_ import app, pending, send, send_many, send_stamp

__all__ = ["app", "make_tables", "pending", "send", "send_many", "send_stamp"]

app.conf.update(result_backend="django-db", task_ignore_result=False, task_track_started=True)
celery_.noop.ignore_result = celery_.stamp.ignore_result = False


def make_tables() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)

"""The operator's view: runs, failures, bulk retries, queues, workers, batches and the record of actions."""

from django.contrib import admin
from django_dramatiq.admin import Task

from project.desk.admin import bulk_retries, queues, records, runs

__all__ = ["bulk_retries", "queues", "records", "runs"]

# Another table of tasks, into which nothing writes here: its list would mislead.
admin.site.unregister(Task)

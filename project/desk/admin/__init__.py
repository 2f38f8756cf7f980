"""The operator's view: runs, failures, bulk retries, queues, workers, batches and the record of actions."""

from project.desk.admin import bulk_retries, queues, records, runs

__all__ = ["bulk_retries", "queues", "records", "runs"]

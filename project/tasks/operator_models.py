"""The rows around the runs: processes, batches, bulk retries, pauses, what limits have counted, the audit."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from project.values.ids import uuid7


class Worker(models.Model):
    """A living worker or scheduler process; one that stops beating is presumed dead."""

    class Kind(models.TextChoices):
        """What the process does."""

        WORKER = "worker", "worker"
        SCHEDULER = "scheduler", "scheduler"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    hostname = models.CharField(max_length=150)
    pid = models.PositiveIntegerField()
    queues: "models.JSONField[list[str], list[str]]" = models.JSONField(default=list)
    threads = models.PositiveIntegerField(default=1)
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(db_default=Now())
    listening_since = models.DateTimeField(
        db_default=Now(),
        help_text="Since when it beats without a gap: only then may it judge the silence of others.",
    )

    class Meta:
        ordering = ("kind", "hostname", "pid")

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid}"


class TaskBatch(models.Model):
    """Runs sent together; when the last has ended, one callback is sent."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100, blank=True)
    total = models.PositiveIntegerField()
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    then = models.JSONField(null=True, blank=True, help_text="The call sent when every member has succeeded.")
    on_failure = models.JSONField(null=True, blank=True, help_text="The call sent when a member has not.")
    callback_id = models.UUIDField(null=True, blank=True, help_text="The run of the callback that was sent.")

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "batches"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["id"], name="batch_open", condition=Q(finished_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.name or 'batch'} {self.id}"


class BulkRetry(models.Model):
    """Dead runs that are retried at a chosen pace, until all are or too many of them fail again."""

    class Outcome(models.TextChoices):
        """How it ended."""

        DONE = "done", "all retried"
        FAILING = "failing", "stopped: too many failed again"
        STOPPED = "stopped", "stopped by an operator"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    filter: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField(help_text="Which runs it retries.")
    rate = models.FloatField(help_text="Runs a second.")
    max_error_share = models.FloatField(help_text="It stops when a larger share of what it retried fails again.")
    who = models.CharField(max_length=150)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    stepped_at = models.DateTimeField(db_default=Now(), help_text="When it last retried some.")
    after_id = models.UUIDField(null=True, blank=True, help_text="It has looked at every run up to this one.")
    retried = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0, help_text="Runs that could not be retried.")
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "bulk retries"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["id"], name="bulk_open", condition=Q(finished_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"bulk retry {self.id}"


class Limit(models.Model):
    """What a limit has counted, by its key; one that has counted nothing needs no row."""

    key = models.CharField(max_length=200, primary_key=True)
    started = models.BigIntegerField(default=0, db_default=0, help_text="How many starts were counted.")
    look_at = models.DateTimeField(null=True, blank=True, help_text="When the next of those that wait may start.")

    class Meta:
        ordering = ("key",)
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["look_at"], name="limit_to_look_at", condition=Q(look_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.key


class Start(models.Model):
    """A start that a rate limit counts: as many of the last ones as may start in a period."""

    pk = models.CompositePrimaryKey("limit_key", "number")
    limit_key = models.CharField(max_length=200)
    number = models.BigIntegerField(help_text="Which start of the limit it was, from 1.")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"start {self.number} of {self.limit_key}"


class PausedQueue(models.Model):
    """A queue whose runs are not started until somebody, or the clock, resumes it."""

    queue = models.CharField(max_length=100, primary_key=True)
    reason = models.CharField(max_length=200)
    paused_by = models.CharField(max_length=150)
    paused_at = models.DateTimeField(db_default=Now())
    resume_at = models.DateTimeField(null=True, blank=True, help_text="Resumed by itself at this time.")

    class Meta:
        ordering = ("queue",)

    def __str__(self) -> str:
        return f"{self.queue}: {self.reason}"


class OperatorAction(models.Model):
    """What somebody did to runs, queues or schedules; the database refuses to change or delete it."""

    id: int
    at = models.DateTimeField(db_default=Now(), db_index=True)
    who = models.CharField(
        max_length=150, help_text="The user's name, the account that ran the command, or what acted by itself."
    )
    source = models.CharField(max_length=10, help_text="admin, api, page, command or system")
    action = models.CharField(max_length=30)
    target = models.CharField(
        max_length=200, help_text="A run's id, a queue's or a schedule's name, or the filter of a bulk action."
    )
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["target", "-id"], name="action_by_target")]

    def __str__(self) -> str:
        return f"{self.who}: {self.action} {self.target}"

"""The rows that keep the promise: runs and their failed attempts."""

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from project.tasks.operator_models import BulkRetry, Limit, OperatorAction, PausedQueue, Start, TaskBatch, Worker
from project.values.ids import uuid7

__all__ = [
    "BulkRetry",
    "Limit",
    "OperatorAction",
    "PausedQueue",
    "Start",
    "TaskAttempt",
    "TaskBatch",
    "TaskRun",
    "Worker",
]


class TaskRun(models.Model):
    """One sent task, from send to end; its id is the Dramatiq message's id."""

    class State(models.TextChoices):
        """Where a run is in its life."""

        PENDING = "pending", "pending"
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        RETRYING = "retrying", "retrying"
        SUCCEEDED = "succeeded", "succeeded"
        DEAD = "dead", "dead"
        CANCELLED = "cancelled", "cancelled"
        EXPIRED = "expired", "expired"
        DISCARDED = "discarded", "discarded"

    #: States in which the run is waiting for a worker.
    WAITING = (State.PENDING, State.QUEUED, State.RETRYING)
    #: States that a run leaves again by itself.
    UNFINISHED = (*WAITING, State.RUNNING)
    #: States that only an operator takes a run out of.
    ENDED = (State.SUCCEEDED, State.DEAD, State.CANCELLED, State.EXPIRED, State.DISCARDED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    task = models.CharField(max_length=100)
    queue = models.CharField(max_length=100)
    priority = models.SmallIntegerField(default=0, help_text="Lower runs first.")
    arguments = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)

    created_at = models.DateTimeField(db_default=Now())
    run_after = models.DateTimeField(db_default=Now(), help_text="Not before this time.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Not started after this time.")
    published_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    attempts = models.PositiveIntegerField(default=0, db_default=0, help_text="How often a worker claimed it.")
    failures = models.PositiveIntegerField(default=0, db_default=0, help_text="How many attempts raised.")
    deaths = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How many attempts ended with their worker's death."
    )
    postponements = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How often an attempt was put off, which is no failure."
    )
    postponed_since = models.DateTimeField(null=True, blank=True, help_text="When it was first put off.")
    worker_id = models.UUIDField(null=True, blank=True)
    cancel_requested = models.BooleanField(default=False, db_default=False)
    progress = models.FloatField(null=True, blank=True, help_text="0 to 1, as the task reports it.")
    progress_note = models.CharField(max_length=200, blank=True, db_default="")

    result = models.JSONField(null=True, blank=True)
    error_type = models.CharField(max_length=200, blank=True, db_default="")
    error = models.TextField(blank=True, db_default="")
    traceback = models.TextField(blank=True, db_default="")
    fingerprint = models.CharField(max_length=16, blank=True, db_default="")

    source = models.CharField(max_length=10, default="code")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, db_index=False, related_name="+"
    )
    request_id = models.CharField(max_length=64, blank=True)
    schedule = models.CharField(max_length=100, blank=True)
    parent_id = models.UUIDField(null=True, blank=True)
    unique_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 (absent is not empty here)
    waits_for_key = models.CharField(  # noqa: DJ001 (absent is not empty here)
        max_length=200, null=True, blank=True, help_text="Not published before this unique key is free."
    )
    batch = models.ForeignKey(TaskBatch, null=True, blank=True, on_delete=models.SET_NULL, db_index=False)
    next_steps = models.JSONField(default=list, blank=True, help_text="What a chain sends when this run succeeds.")
    limit_key = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="The limit whose slot it needs."
    )
    bulk_id = models.UUIDField(null=True, blank=True, help_text="The bulk retry that retried it last.")

    class Meta:
        ordering = ("-id",)
        verbose_name = "task run"
        indexes: ClassVar[list[models.Index]] = [
            # Rare states only: a full index would be rewritten by every step of every run.
            models.Index(
                fields=["state", "-id"],
                name="run_by_rare_state",
                condition=Q(state__in=("retrying", "dead", "cancelled", "expired", "discarded")),
            ),
            models.Index(
                fields=["task", "state", "-id"],
                name="run_by_task_and_rare_state",
                condition=Q(state__in=("retrying", "dead", "cancelled", "expired", "discarded")),
            ),
            models.Index(
                fields=["fingerprint", "task", "error_type", "-id"],
                name="run_by_failure",
                condition=Q(state="dead"),
                include=["finished_at"],
            ),
            # Whoever succeeds at once is in neither of these.
            models.Index(fields=["fingerprint", "-id"], name="run_by_fingerprint", condition=~Q(fingerprint="")),
            models.Index(fields=["error_type", "-id"], name="run_by_error", condition=~Q(error_type="")),
            # Of ended runs only, which are written once; the other states have small indexes of their own.
            models.Index(
                fields=["task", "-id"],
                name="run_ended_by_task",
                condition=Q(state__in=("succeeded", "dead", "cancelled", "expired", "discarded")),
            ),
            models.Index(
                fields=["queue", "-id"],
                name="run_ended_by_queue",
                condition=Q(state__in=("succeeded", "dead", "cancelled", "expired", "discarded")),
            ),
            # Ascending, so that new entries come last, where PostgreSQL fills pages: it is half as large then.
            models.Index(fields=["finished_at"], name="run_ended_at", condition=Q(finished_at__isnull=False)),
            models.Index(
                fields=["run_after"],
                name="run_to_publish",
                condition=Q(limit_key="", state__in=("pending", "retrying")),
            ),
            models.Index(
                fields=["queue", "run_after"],
                name="run_to_publish_by_queue",
                condition=Q(limit_key="", state__in=("pending", "retrying")),
            ),
            # What waits for a slot has indexes of its own, so that nothing else walks past it.
            models.Index(
                fields=["run_after"],
                name="run_to_publish_in_slot",
                condition=~Q(limit_key="") & Q(state__in=("pending", "retrying")),
            ),
            models.Index(
                fields=["limit_key", "queue", "priority", "run_after"],
                name="run_waiting_for_slot",
                condition=~Q(limit_key="") & Q(state__in=("pending", "retrying")),
            ),
            models.Index(
                fields=["limit_key", "run_after"],
                name="run_next_of_limit",
                condition=~Q(limit_key="") & Q(state__in=("pending", "retrying")),
            ),
            models.Index(
                fields=["limit_key", "state", "queue"],
                name="run_in_slot",
                condition=~Q(limit_key="") & Q(state__in=("queued", "running")),
            ),
            models.Index(
                fields=["run_after"],
                name="run_to_publish_first",
                condition=Q(state__in=("pending", "retrying"), deaths__gt=0),
            ),
            models.Index(
                fields=["expires_at"],
                name="run_to_expire",
                condition=Q(expires_at__isnull=False, state__in=("pending", "queued", "retrying")),
            ),
            models.Index(fields=["id"], name="run_published", condition=Q(state="queued")),
            models.Index(fields=["worker_id"], name="run_claimed", condition=Q(state="running")),
            models.Index(fields=["user", "-id"], name="run_by_user", condition=Q(user__isnull=False)),
            models.Index(fields=["batch", "state"], name="run_by_batch", condition=Q(batch__isnull=False)),
            models.Index(fields=["parent_id"], name="run_by_parent", condition=Q(parent_id__isnull=False)),
            models.Index(fields=["bulk_id", "state"], name="run_by_bulk", condition=Q(bulk_id__isnull=False)),
            models.Index(
                fields=["waits_for_key", "id"],
                name="run_waiting_for_key",
                condition=Q(waits_for_key__isnull=False, state="pending"),
            ),
            models.Index(fields=["schedule", "-id"], name="run_by_schedule", condition=~Q(schedule="")),
            models.Index(fields=["request_id", "-id"], name="run_by_request", condition=~Q(request_id="")),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["unique_key"],
                name="run_unique_while_unfinished",
                condition=Q(unique_key__isnull=False, state__in=("pending", "queued", "running", "retrying")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.id}"

    @property
    def duration(self) -> timedelta | None:
        """How long the last attempt took, or has taken so far; None if nothing says so."""
        if self.started_at is None or self._ended_waiting:
            return None
        if self.state == self.State.RUNNING:
            return max(timezone.now() - self.started_at, timedelta(0))
        return None if self.finished_at is None else self.finished_at - self.started_at

    @property
    def _ended_waiting(self) -> bool:
        """Whether the run ended while it waited, so that its end is not that of an attempt."""
        was_cancelled = self.state == self.State.CANCELLED and not self.cancel_requested
        return was_cancelled or self.state == self.State.EXPIRED


class TaskAttempt(models.Model):
    """One attempt that did not succeed; the run's row has the successful one."""

    id: int
    run = models.ForeignKey(TaskRun, on_delete=models.CASCADE, related_name="failed_attempts")
    number = models.PositiveIntegerField()
    worker = models.CharField(max_length=200, blank=True, help_text="Host and process id.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(db_default=Now())
    error_type = models.CharField(max_length=200)
    error = models.TextField(blank=True)
    traceback = models.TextField(blank=True)

    class Meta:
        ordering = ("run_id", "number")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["run", "number"], name="attempt_once")
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.error_type}"

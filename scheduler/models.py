"""What the clock has to do, and the ledger of what it did."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now
from django.urls import NoReverseMatch, reverse

from project.values.ids import uuid7_of
from project.values.text import utc


def local_time_zone() -> str:
    """The time zone of a new schedule: the service's own."""
    return settings.TIME_ZONE


class Schedule(models.Model):
    """A task that the clock sends.

    Every column has a default in the database too, so that a row inserted with SQL is a schedule. A trigger
    forgets `next_fire_at` when the cron text, the time zone or `enabled` changes, whoever changes it; the next
    sweep then computes it from the present, so an edit takes effect and nothing is backfilled.
    """

    class Misfire(models.TextChoices):
        """What to do about a tick that was missed by more than a minute."""

        RUN_ONCE = "run_once", "run once for all that were missed"
        SKIP = "skip", "skip it"

    #: What the clock writes; a form or a sync never does.
    CURSOR_FIELDS: ClassVar[tuple[str, ...]] = ("next_fire_at", "last_fire_at", "error")
    #: What code may declare and an operator may override.
    DECLARED_FIELDS: ClassVar[tuple[str, ...]] = (
        "task", "arguments", "cron", "time_zone", "enabled", "misfire", "max_lateness",
    )  # fmt: skip

    id = models.UUIDField(primary_key=True, default=uuid4, db_default=RandomUUID(), editable=False)
    name = models.CharField(max_length=100, unique=True)
    task = models.CharField(max_length=100)
    arguments: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField(
        default=dict, db_default=Value({}, models.JSONField()), blank=True, help_text="The task's arguments by name."
    )
    cron = models.CharField(
        max_length=200, help_text="Minute, hour, day of month, month, day of week; or a macro such as @daily."
    )
    time_zone = models.CharField(
        max_length=64, default=local_time_zone, db_default="UTC", help_text="A name such as Europe/Berlin."
    )
    enabled = models.BooleanField(default=True, db_default=True)
    misfire = models.CharField(
        max_length=10,
        choices=Misfire.choices,
        default=Misfire.RUN_ONCE,
        db_default=Misfire.RUN_ONCE,
        help_text="What to do about ticks that were missed by more than a minute.",
    )
    max_lateness = models.DurationField(
        null=True, blank=True, help_text="Do not send a tick that is later than this (HH:MM:SS). Empty: always send it."
    )
    next_fire_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_fire_at = models.DateTimeField(null=True, blank=True, editable=False)
    error = models.TextField(blank=True, default="", db_default="", editable=False)
    declaration: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True, blank=True, editable=False
    )

    class Meta:
        ordering = ("name",)
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["next_fire_at"], name="schedule_due", condition=Q(enabled=True)),
        ]
        permissions = (("run_schedule", "Can run a schedule now"),)

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **options: Any) -> None:
        """Save the row without its cursor: one that was read a while ago would rewind it."""
        if not self._state.adding and not args and options.get("update_fields") is None:
            names = {field.name for field in self._meta.concrete_fields if not field.primary_key}
            options["update_fields"] = names.difference(self.CURSOR_FIELDS)
        super().save(*args, **options)

    def run_id(self, fire_time: datetime) -> UUID:
        """The id of the one run that this schedule sends for this fire time, whoever sends it."""
        return uuid7_of(str(self.id), at=fire_time)

    def declared_values(self) -> dict[str, Any]:
        """What the declared fields hold now, as plain JSON."""
        values = {name: getattr(self, name) for name in self.DECLARED_FIELDS}
        lateness = values["max_lateness"]
        return values | {"max_lateness": lateness.total_seconds() if lateness is not None else None}

    def recorded_values(self) -> dict[str, Any]:
        """What people see and edit of it, as plain JSON."""
        return {"name": self.name} | self.declared_values()

    @property
    def overridden(self) -> list[str]:
        """The fields in which an operator's change stands against what code declares."""
        if self.declaration is None:
            return []
        values, declared = self.declared_values(), self.declaration
        return [name for name in self.DECLARED_FIELDS if name in declared and values[name] != declared[name]]


class Tick(models.Model):
    """One fire time of one schedule: what was expected and what became of it."""

    class Outcome(models.TextChoices):
        """How the tick went."""

        ON_TIME = "on_time", "on time"
        LATE = "late", "late"
        CAUGHT_UP = "caught_up", "caught up"
        SKIPPED = "skipped", "skipped"

    id: int
    schedule = models.ForeignKey(Schedule, null=True, on_delete=models.SET_NULL, related_name="ticks")
    name = models.CharField(max_length=100, help_text="The schedule's name; it stays when the schedule is deleted.")
    fire_time = models.DateTimeField()
    run_id = models.UUIDField(null=True, help_text="The run that was sent; empty when the tick was skipped.")
    coalesced = models.PositiveIntegerField(default=0, help_text="How many earlier ticks were missed with it.")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    lateness = models.DurationField()
    sender = models.CharField(max_length=200, help_text="Host and process id of the scheduler.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-fire_time", "name")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["schedule", "fire_time"], name="tick_once")
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-fire_time"], name="tick_by_time"),
            models.Index(fields=["created_at"], name="tick_by_creation"),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {utc(self.fire_time)}"

    def run_url(self) -> str:
        """The admin page of the run that was sent, or "" where there is none."""
        try:
            return reverse("admin:tasks_taskrun_change", args=[self.run_id]) if self.run_id else ""
        except NoReverseMatch:
            return ""

"""Which runs somebody wants to see or to act on: one filter for the admin, the API and the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.db.models import QuerySet, Subquery, UUIDField, Value
from django.db.models.functions import Coalesce
from pydantic import BaseModel, ConfigDict

from project.fields import Instant
from project.tasks.ids import first_uuid7
from project.tasks.models import TaskRun

#: What no index leads to is looked for among so many of the newest runs.
WINDOW = 50_000

StateName = Literal[
    "pending", "queued", "running", "retrying", "succeeded", "dead", "cancelled", "expired", "discarded"
]


class RunFilter(BaseModel):
    """A choice of runs; what is left out does not matter.

    Args:
        state: Where in their life they are.
        task: Their task's name.
        queue: Their queue's name.
        schedule: The schedule that sent them.
        fingerprint: The kind of failure they died of.
        error_type: The exception they died of.
        batch: The batch they belong to.
        since: Sent at this time or later.
        until: Sent before this time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: StateName | None = None
    task: str | None = None
    queue: str | None = None
    schedule: str | None = None
    fingerprint: str | None = None
    error_type: str | None = None
    batch: UUID | None = None
    since: Instant | None = None
    until: Instant | None = None

    def matching(self, runs: QuerySet[TaskRun] | None = None) -> QuerySet[TaskRun]:
        """Return every run that matches, newest first; may have to read the whole table."""
        matching = (TaskRun.objects.all() if runs is None else runs).filter(**self._columns())
        if self.since is not None:
            matching = matching.filter(id__gte=first_uuid7(self.since))
        if self.until is not None:
            matching = matching.filter(id__lt=first_uuid7(self.until))
        return matching

    def newest(self, runs: QuerySet[TaskRun] | None = None) -> QuerySet[TaskRun]:
        """Return runs that match, newest first, without ever reading the whole table.

        With `is_windowed` these are not all: only the newest `WINDOW` runs are looked at.
        """
        matching = self.matching(runs)
        if not self.is_windowed:
            return matching
        oldest = _before(self.until).order_by("-id").values("id")[WINDOW : WINDOW + 1]
        nothing_older = Value(UUID(int=0), output_field=UUIDField())
        return matching.filter(id__gt=Coalesce(Subquery(oldest), nothing_older))

    @property
    def is_windowed(self) -> bool:
        """Whether `newest` looks at the newest runs only: no index leads to what is asked for."""
        has_index = self.schedule or self.batch or (self.fingerprint is not None and self.state == "dead")
        return not has_index and {self.queue, self.fingerprint, self.error_type} != {None}

    def stored(self) -> dict[str, Any]:
        """Return the filter as plain JSON."""
        return self.model_dump(mode="json", exclude_none=True)

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.stored().items()) or "all runs"

    def _columns(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True, exclude={"since", "until"})


def _before(until: datetime | None) -> QuerySet[TaskRun]:
    return TaskRun.objects.all() if until is None else TaskRun.objects.filter(id__lt=first_uuid7(until))

"""Which runs somebody wants to see or to act on: one filter for the admin, the API and the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal
from uuid import UUID

from django.db.models import Q, QuerySet
from pydantic import BaseModel, ConfigDict

from project.tasks.models import TaskRun
from project.values.fields import Instant
from project.values.ids import first_uuid7

StateName = Literal[
    "pending", "queued", "running", "retrying", "succeeded", "dead", "cancelled", "expired", "discarded"
]
_DUE_LATER: Final = Q(state__in=(TaskRun.State.PENDING, TaskRun.State.RETRYING))
_UNLIMITED: Final = Q(limit_key="")
#: What each partial index holds that leads to runs of a task or a queue; together they hold all.
_PARTS: Final = (
    Q(state__in=TaskRun.ENDED),
    Q(state=TaskRun.State.QUEUED),
    _DUE_LATER & _UNLIMITED,
    _DUE_LATER & ~_UNLIMITED,
    Q(state=TaskRun.State.RUNNING),
)


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
        bulk_id: The bulk retry that retried them last.
        request_id: The request that caused them.
        parent_id: The run that sent them.
        since: Sent at this time or later.
        until: Sent before this time.
        ended_before: Not ended at this time or later.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: StateName | None = None
    task: str | None = None
    queue: str | None = None
    schedule: str | None = None
    fingerprint: str | None = None
    error_type: str | None = None
    batch: UUID | None = None
    bulk_id: UUID | None = None
    request_id: str | None = None
    parent_id: UUID | None = None
    since: Instant | None = None
    until: Instant | None = None
    ended_before: Instant | None = None

    def matching(self, runs: QuerySet[TaskRun] | None = None) -> QuerySet[TaskRun]:
        """Return every run that matches, in no order.

        Args:
            runs: Those to choose from; all of them if left out.
        """
        return self._matching(runs, along=None)

    def newest(
        self, most: int, *, skip: int = 0, runs: QuerySet[TaskRun] | None = None, is_searched: bool = False
    ) -> QuerySet[TaskRun]:
        """Return the newest of the runs that match; however many there are, an index leads to them.

        Args:
            most: How many to return at most.
            skip: How many of the newest to leave out.
            runs: Those to choose from; all of them if left out.
            is_searched: Whether those are few of all runs.
        """
        along = "task" if self.task is not None else "queue" if self.queue is not None else None
        order = ("-id",) if along is None else (along, "-id")
        matching = self._matching(runs, along=along)
        if most < 1:
            return matching.none()
        parts = self._parts(is_narrow=is_searched or along is not None)
        found = [matching.filter(part).order_by(*order)[: skip + most] for part in parts]
        if len(found) == 1:
            return matching.order_by(*order)[skip : skip + most]
        return found[0].union(*found[1:], all=True).order_by("-id")[skip : skip + most]

    def _parts(self, *, is_narrow: bool) -> tuple[Q, ...]:
        """Return what to look for apart, because each is in an index of its own."""
        if self.state == "pending":
            return _UNLIMITED, ~_UNLIMITED
        return _PARTS if self.state is None and is_narrow else (Q(),)

    def _matching(self, runs: QuerySet[TaskRun] | None, *, along: str | None) -> QuerySet[TaskRun]:
        """Return what matches, ready to be ordered along a column first.

        Told that the column has one value, PostgreSQL would forget that order, and expect to meet the value soon on a
        walk back from the newest run: which it does not if the task was last sent a month ago.
        """
        columns = self.model_dump(exclude_none=True, exclude={"since", "until", "ended_before"})
        if along is not None:
            columns[f"{along}__gte"] = columns[f"{along}__lte"] = columns.pop(along)
        matching = (TaskRun.objects.order_by() if runs is None else runs).filter(**columns)
        if self.since is not None:
            matching = matching.filter(id__gte=first_uuid7(self.since))
        if self.until is not None:
            matching = matching.filter(id__lt=first_uuid7(self.until))
        if self.ended_before is not None:
            matching = matching.exclude(finished_at__gte=self.ended_before)
        return matching

    def stored(self) -> dict[str, Any]:
        """Return the filter as plain JSON."""
        return self.model_dump(mode="json", exclude_none=True)

    def shown(self) -> dict[str, str]:
        """Return the filter as people read it, with times to the second."""
        given = self.model_dump(exclude_none=True)
        return {
            name: f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)
            for name, value in given.items()
        }

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.shown().items()) or "all runs"

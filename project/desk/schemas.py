"""What goes in and out of the tasks' HTTP API."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from project.desk.waiting import LONGEST_WAIT
from project.tasks.models import TaskRun
from project.tasks.repair.filters import RunFilter
from project.values.fields import Body, Instant, NoNul

Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), NoNul]
GivenReason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), NoNul]


class Failure(Schema):
    """Why a run has not succeeded (yet)."""

    type: str
    message: str


class RunOut(Schema):
    """A run, as the person who caused it sees it."""

    id: UUID
    task: str
    queue: str
    state: str
    attempts: int
    progress: float | None
    progress_note: str
    result: Any
    error: Failure | None
    created_at: datetime
    run_after: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @staticmethod
    def resolve_error(run: TaskRun) -> dict[str, str] | None:
        """Return the last attempt's error, without its traceback."""
        return {"type": run.error_type, "message": run.error} if run.error_type or run.error else None


class AttemptOut(Schema):
    """An attempt that failed."""

    number: int
    worker: str
    started_at: datetime | None
    finished_at: datetime
    error_type: str
    error: str
    traceback: str


class RunDetails(RunOut):
    """A run, as staff see it."""

    arguments: dict[str, Any]
    priority: int
    expires_at: datetime | None
    published_at: datetime | None
    failures: int
    deaths: int
    postponements: int
    postponed_since: datetime | None
    cancel_requested: bool
    traceback: str
    fingerprint: str
    source: str
    user_id: int | None
    request_id: str
    schedule: str
    parent_id: UUID | None
    batch_id: UUID | None
    failed_attempts: list[AttemptOut]

    @staticmethod
    def resolve_failed_attempts(run: TaskRun) -> list[Any]:
        """Return every attempt that failed, the first one first."""
        return sorted(run.failed_attempts.all(), key=lambda attempt: attempt.number)


class RunQuery(RunFilter):
    """Which runs to list."""

    model_config = ConfigDict(extra="ignore")

    own: Annotated[bool, Field(description="List your own runs alone, also to staff.")] = False
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: Annotated[UUID | None, Field(description="The `next` of the page before this one.")] = None

    def filter(self) -> RunFilter:
        """Return the filter without the page."""
        return RunFilter(**self.model_dump(exclude={"limit", "before", "own"}))


class Wait(BaseModel):
    """How long to wait for a run."""

    wait: Annotated[
        float,
        Field(ge=0, le=LONGEST_WAIT / timedelta(seconds=1), description="Seconds to wait until the run has ended."),
    ] = 0


class RunPage(Schema):
    """Some runs, newest first, and where the next page begins."""

    tasks: list[RunOut]
    next: UUID | None


class Why(Body):
    """Why somebody does something."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = ""


class RetryBody(Why):
    """How to try a run again."""

    arguments: dict[str, Any] | None = Field(None, description="Other arguments, by name; without them, the old ones.")


class PauseBody(Body):
    """How to pause a queue."""

    model_config = ConfigDict(extra="forbid")

    reason: GivenReason
    resume_at: Instant | None = Field(None, description="When the queue is resumed by itself.")


class QueueOut(Schema):
    """A queue and what is in it."""

    name: str
    waiting: int
    running: int
    oldest_seconds: float | None
    workers: int
    paused: str | None


class WorkerOut(Schema):
    """A living process."""

    id: UUID
    kind: str
    hostname: str
    pid: int
    queues: list[str]
    threads: int
    started_at: datetime
    beat_at: datetime

"""The clock's claim: what is due is locked, recorded, sent and moved on in one transaction per schedule.

Any number of processes may call this at any time. The row lock keeps them apart; the unique tick keeps a rewound
cursor from sending twice; the database's clock, not the caller's, says what is due. PostgreSQL frees the lock of a
process that dies or is stopped, and another one claims the tick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import DateTimeField, Func, Min

from project.tasks import Cause, TaskError, get_task
from project.values.text import exception_text
from scheduler.catch_up import due_tick
from scheduler.crontab import next_fire
from scheduler.errors import ScheduleError
from scheduler.ledger import record
from scheduler.models import Schedule, Tick

if TYPE_CHECKING:
    from project.tasks import Message

log = structlog.get_logger(__name__)

#: A tick later than this is an alarm: the sweep alone keeps every tick well under it.
ALARM_AFTER: Final = timedelta(seconds=10)
#: How soon to look again at a row that another process holds.
LOOK_AGAIN: Final = timedelta(milliseconds=50)


DUE: Final = """
    SELECT *, clock_timestamp() AS now FROM scheduler_schedule
    WHERE enabled AND next_fire_at <= clock_timestamp() AND id <> ALL (%(failed)s::uuid[])
    ORDER BY next_fire_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""


class DatabaseClock(Func):
    """What the database's clock shows now, whatever transaction asks."""

    template = "clock_timestamp()"
    output_field = DateTimeField()


class Clock:
    """One process's view of the clock: what it has failed to send since its last sweep.

    Args:
        sender: What the ledger calls this process.
        is_stopping: Asked between two claims; true ends the sending.
    """

    def __init__(self, *, sender: str, is_stopping: Callable[[], bool] = lambda: False) -> None:
        self.sender = sender
        self._is_stopping = is_stopping
        self._failed: set[UUID] = set()

    def sweep(self) -> None:
        """Give every new or edited schedule its next fire time, then send what is due, failures included.

        Raises:
            django.db.Error: If the database is away.
        """
        self._failed.clear()
        set_cursors()
        self.send_due()

    def send_due(self) -> int:
        """Claim and send every due tick, each in a transaction of its own; return how many rows were claimed.

        Raises:
            django.db.Error: If the database is away.
        """
        claimed = 0
        while not self._is_stopping() and self._claim_one():
            claimed += 1
        return claimed

    def until_next(self) -> timedelta | None:
        """How long until a schedule is due, or None when none is; failed ones wait for the next sweep."""
        rows = Schedule.objects.filter(enabled=True).exclude(id__in=self._failed)
        left: timedelta | None = rows.aggregate(left=Min("next_fire_at") - DatabaseClock())["left"]
        # What is due and still there is held by another process, which may die of it.
        return LOOK_AGAIN if left is not None and left <= timedelta(0) else left

    def _claim_one(self) -> bool:
        schedule, session = None, None
        try:
            with transaction.atomic():
                session = connection.connection
                schedule, now = self._lock_due()
                if schedule is not None:
                    self._send_tick(schedule, now=now)
        except Exception as error:
            # One bad row must not hold up the others; a broken session, which the rollback replaces, is nobody's fault.
            if schedule is None or connection.connection is not session:
                raise
            self._failed.add(schedule.id)
            note_error(schedule, error)
        return schedule is not None

    def _lock_due(self) -> tuple[Schedule | None, datetime]:
        return _lock_first(Schedule.objects.raw(DUE, {"failed": list(self._failed)}))

    def _send_tick(self, schedule: Schedule, *, now: datetime) -> None:
        tick = due_tick(schedule, now=now, sender=self.sender)
        next_fire_at = next_fire(schedule.cron, schedule.time_zone, tick.fire_time)
        if record(tick, next_fire_at=next_fire_at) and tick.run_id is not None:
            message = send(schedule, cause=Cause(source="schedule", schedule=schedule.name), run_id=tick.run_id)
            if message.run_id != tick.run_id:  # a task that is unique, and whose last run has not ended
                Tick.objects.filter(schedule=schedule, fire_time=tick.fire_time).update(run_id=message.run_id)
        if tick.lateness > ALARM_AFTER:
            transaction.on_commit(lambda: _alarm(tick))


def send(schedule: Schedule, *, cause: Cause, run_id: UUID | None = None) -> Message[object]:
    """Send a schedule's task with its arguments.

    Args:
        schedule: What to send.
        cause: Who or what sends it.
        run_id: The run's id, for a tick.

    Raises:
        TaskError: If there is no such task, or the arguments do not fit it.
    """
    sender = get_task(schedule.task).using(cause=cause, run_id=run_id)
    return cast("Message[object]", sender.send(**schedule.arguments))


def set_cursors() -> None:
    """Compute the next fire time, from now on, of every enabled schedule that has none: new, edited or re-enabled."""
    waiting = Schedule.objects.filter(enabled=True, next_fire_at=None)
    for schedule_id in list(waiting.values_list("id", flat=True)):
        with transaction.atomic():
            row = waiting.filter(id=schedule_id).annotate(now=DatabaseClock()).select_for_update(skip_locked=True)
            schedule, now = _lock_first(row)
            if schedule is not None:
                _set_cursor(schedule, now=now)


def _lock_first(rows: Iterable[Schedule]) -> tuple[Schedule | None, datetime]:
    """The first row of a query that locks, with the database's time that it selects as `now`."""
    row: Any = next(iter(rows), None)
    return (row, row.now) if row is not None else (None, datetime.max.replace(tzinfo=UTC))


def _set_cursor(schedule: Schedule, *, now: datetime) -> None:
    # Never before the last fire: an edit, or a clock set back, must not fire again.
    after = max(now, schedule.last_fire_at or now)
    try:
        first = next_fire(schedule.cron, schedule.time_zone, after)
    except (ValueError, OverflowError) as error:
        note_error(schedule, error)
    else:
        _write(schedule, next_fire_at=first, error="")


def note_error(schedule: Schedule, error: Exception) -> None:
    """Write on the row why it cannot be sent, where the admin and `schedule list` show it; the next sweep retries."""
    reason = str(error) if isinstance(error, (ScheduleError, TaskError)) else exception_text(error)
    if schedule.error != reason:
        log.error("schedule_failed", schedule=schedule.name, reason=reason, cure="correct the schedule or its task")
        _write(schedule, error=reason)


def _write(schedule: Schedule, **values: object) -> None:
    Schedule.objects.filter(id=schedule.id).update(**values)


def _alarm(tick: Tick) -> None:
    log.warning(
        "tick_late",
        schedule=tick.name,
        fire_time=tick.fire_time.isoformat(),
        outcome=str(tick.outcome),
        lateness_seconds=round(tick.lateness.total_seconds(), 1),
        coalesced=tick.coalesced,
        cure="see whether schedulers and the database were up",
    )

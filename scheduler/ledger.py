"""The ledger of ticks: written by the claim, pruned after a while, and read for alarms and metrics."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Count, F, Max
from django.db.models.functions import Now

from project.database.locks import unlocked
from scheduler.models import Schedule, Tick

#: How long ticks are kept: a quarter of a year.
KEPT: Final = timedelta(days=90)
#: How many ticks one DELETE covers, so that no transaction holds locks for long.
BATCH: Final = 5_000
#: A schedule that is still not sent after this is overdue: several sweeps of every process have missed it.
OVERDUE_AFTER: Final = timedelta(seconds=15)
#: What the report looks back over.
RECENT: Final = timedelta(hours=1)


COLUMNS: Final = ("schedule_id", "name", "fire_time", "run_id", "coalesced", "outcome", "lateness", "sender")
RECORD: Final = """
    WITH moved AS (
        UPDATE scheduler_schedule
        SET next_fire_at = %(next_fire_at)s, last_fire_at = greatest(last_fire_at, %(fire_time)s), error = ''
        WHERE id = %(schedule_id)s
    )
    INSERT INTO scheduler_tick (schedule_id, name, fire_time, run_id, coalesced, outcome, lateness, sender)
    VALUES (%(schedule_id)s, %(name)s, %(fire_time)s, %(run_id)s, %(coalesced)s, %(outcome)s, %(lateness)s, %(sender)s)
    ON CONFLICT (schedule_id, fire_time) DO NOTHING
"""


@dataclass(frozen=True, kw_only=True)
class LatenessReport:
    """How well the clock keeps its promises.

    Args:
        overdue: Seconds by which enabled schedules are overdue now, by name.
        failing: Why schedules cannot be sent, by name.
        outcomes: How many ticks of the last hour were on time, late, caught up and skipped.
        worst: The greatest lateness of the last hour, in seconds.
    """

    overdue: dict[str, float]
    failing: dict[str, str]
    outcomes: dict[str, int]
    worst: float

    @property
    def alarms(self) -> list[str]:
        """One line for each thing that somebody should look at."""
        late = [f"schedule {name} is overdue by {seconds:.0f} s" for name, seconds in self.overdue.items()]
        broken = [f"schedule {name} cannot be sent: {reason}" for name, reason in self.failing.items()]
        past = [f"{count} ticks were {outcome.replace('_', ' ')} in the last hour" for outcome, count in self._past()]
        return late + broken + past

    def _past(self) -> list[tuple[str, int]]:
        alarming = (Tick.Outcome.CAUGHT_UP, Tick.Outcome.SKIPPED)
        return [(outcome, count) for outcome, count in self.outcomes.items() if outcome in alarming and count]


def lateness_report() -> LatenessReport:
    """Ask the database how late the clock is, for `/readyz`'s details and for metrics: three small queries."""
    enabled = Schedule.objects.filter(enabled=True)
    overdue = enabled.filter(next_fire_at__lt=Now() - OVERDUE_AFTER).annotate(by=Now() - F("next_fire_at"))
    recent = Tick.objects.filter(created_at__gt=Now() - RECENT)
    counted = recent.values("outcome").order_by().annotate(count=Count("id"), worst=Max("lateness"))
    rows = {row["outcome"]: row for row in counted}
    return LatenessReport(
        overdue={schedule.name: schedule.by.total_seconds() for schedule in overdue},
        failing=dict(enabled.exclude(error="").values_list("name", "error")),
        outcomes={str(outcome): rows[outcome]["count"] if outcome in rows else 0 for outcome in Tick.Outcome},
        worst=max((row["worst"].total_seconds() for row in rows.values()), default=0.0),
    )


def alarms() -> list[str]:
    """Return one line for each thing about the clock that somebody should look at."""
    return lateness_report().alarms


def record(tick: Tick, *, next_fire_at: datetime) -> bool:
    """Insert a tick and move its schedule on, with one statement.

    Args:
        tick: A tick of a locked schedule.
        next_fire_at: When the schedule is due next.

    Returns:
        False if this fire time of this schedule is already in the ledger.
    """
    values = {name: getattr(tick, name) for name in COLUMNS} | {"next_fire_at": next_fire_at}
    with connection.cursor() as cursor:
        cursor.execute(RECORD, values)
        return bool(cursor.rowcount)


def prune(*, kept: timedelta = KEPT, batch: int = BATCH) -> int:
    """Delete ticks older than `kept`, a batch at a time; return how many."""
    deleted = 0
    while True:
        with transaction.atomic():
            count, _ = unlocked(Tick.objects.filter(created_at__lt=Now() - kept), limit=batch).delete()
        deleted += count
        if count < batch:
            return deleted

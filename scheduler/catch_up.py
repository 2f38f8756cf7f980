"""Which tick a due schedule stands for: the one that is due, or the latest of many that were missed."""

from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Final

from scheduler.crontab import fires
from scheduler.models import Schedule, Tick

#: Up to here a tick is on time: cron text has no finer unit than a minute, and nobody notices a second.
ON_TIME: Final = timedelta(seconds=1)
#: Later than this, the ticks that were missed become one: the shortest interval that cron text can say.
COALESCE_AFTER: Final = timedelta(seconds=60)
#: A longer outage is counted only this far: five weeks of minutes.
MOST_COUNTED: Final = 50_000


def due_tick(schedule: Schedule, *, now: datetime, sender: str) -> Tick:
    """The ledger's line for a schedule that is due.

    Args:
        schedule: A row whose `next_fire_at` is not after `now`.
        now: The database's time.
        sender: Host and process id of the scheduler.

    Raises:
        ScheduleError: If the cron text or the time zone is not valid.
    """
    fire_time, coalesced = schedule.next_fire_at or now, 0
    was_missed = now - fire_time > COALESCE_AFTER
    if was_missed:
        fire_time, coalesced = latest_missed(schedule.cron, schedule.time_zone, first=fire_time, now=now)
    tick = Tick(schedule=schedule, name=schedule.name, fire_time=fire_time, coalesced=coalesced, sender=sender)
    tick.lateness = now - fire_time
    tick.outcome = _outcome(schedule, lateness=tick.lateness, was_missed=was_missed)
    tick.run_id = None if tick.outcome == Tick.Outcome.SKIPPED else schedule.run_id(fire_time)
    return tick


def latest_missed(cron: str, time_zone: str, *, first: datetime, now: datetime) -> tuple[datetime, int]:
    """The latest fire time up to `now`, and how many were missed before it.

    Args:
        cron: Five fields or a macro.
        time_zone: A tz database name.
        first: The first fire time that was missed.
        now: The present; not before `first`.

    Raises:
        ScheduleError: If the cron text or the time zone is not valid.
    """
    missed = takewhile(lambda fire: fire <= now, fires(cron, time_zone, after=first))
    count, latest = 0, first
    for latest in islice(missed, MOST_COUNTED):  # noqa: B007 - the last one is the answer
        count += 1
    if count == MOST_COUNTED:
        latest = _latest(cron, time_zone, since=latest, now=now)
    return latest, count


def _latest(cron: str, time_zone: str, *, since: datetime, now: datetime) -> datetime:
    """The latest fire time up to `now`, found from behind."""
    reach = timedelta(hours=1)
    while True:
        start = max(since, now - reach)
        found = list(takewhile(lambda fire: fire <= now, fires(cron, time_zone, after=start)))
        if found or start == since:
            return found[-1] if found else since
        reach *= 2


def _outcome(schedule: Schedule, *, lateness: timedelta, was_missed: bool) -> Tick.Outcome:
    too_late = schedule.max_lateness is not None and lateness > schedule.max_lateness
    misfired = lateness > COALESCE_AFTER and schedule.misfire == Schedule.Misfire.SKIP
    if too_late or misfired:
        return Tick.Outcome.SKIPPED
    if was_missed:
        return Tick.Outcome.CAUGHT_UP
    return Tick.Outcome.LATE if lateness > ON_TIME else Tick.Outcome.ON_TIME

"""What the admin's pages show of schedules and ticks beyond their plain columns."""

from datetime import datetime

from django.contrib import admin
from django.utils.html import format_html, format_html_join

from scheduler.crontab import zone
from scheduler.errors import ScheduleError
from scheduler.models import Schedule, Tick
from scheduler.preview import utc_text
from scheduler.reading import describe


@admin.display(description="fires", ordering="cron")
def reads(schedule: Schedule) -> str:
    """The cron text in plain language."""
    try:
        return describe(schedule.cron, schedule.time_zone)
    except ScheduleError:
        return schedule.cron


@admin.display(description="next fire", ordering="next_fire_at")
def next_fire(schedule: Schedule) -> str:
    """The next fire time on the schedule's wall clock; UTC on hovering."""
    if schedule.next_fire_at is None or not schedule.enabled:
        return "-"
    return _time(schedule.next_fire_at, schedule)


@admin.display(description="last tick", ordering="last_fire_at")
def last_tick(schedule: Schedule) -> str:
    """When it last fired, how that went, and the run."""
    if schedule.last_fire_at is None:
        return "-"
    outcome, run_id = getattr(schedule, "last_outcome", None), getattr(schedule, "last_run_id", None)
    ended = getattr(schedule, "last_run_state", None)
    label = " ".join(filter(None, [Tick.Outcome(outcome).label if outcome else "", f"({ended})" if ended else ""]))
    return format_html("{} {} {}", _time(schedule.last_fire_at, schedule), label, run_link(Tick(run_id=run_id)))


def _time(at: datetime, schedule: Schedule) -> str:
    try:
        local = at.astimezone(zone(schedule.time_zone))
    except ScheduleError:  # written past the form; its error is in the last column
        local = at
    return format_html('<time title="{}">{}</time>', utc_text(at), f"{local:%a %Y-%m-%d %H:%M}")


@admin.display(description="attention")
def state(schedule: Schedule) -> str:
    """What an operator should know: the error, or the overridden fields."""
    overridden = f"overridden: {', '.join(schedule.overridden)}" if schedule.overridden else ""
    return schedule.error or overridden


@admin.display(description="overridden")
def overrides(schedule: Schedule) -> str:
    """Each field that differs from the code, with what the code declares."""
    declared = schedule.declaration or {}
    lines = [(name.replace("_", " "), declared[name]) for name in schedule.overridden]
    return format_html_join("", "{}: the code declares <code>{}</code><br>", lines) or "-"


@admin.display(description="late by", ordering="lateness")
def late_by(tick: Tick) -> str:
    """The lateness, to the millisecond."""
    return f"{tick.lateness.total_seconds():.3f} s"


@admin.display(description="run")
def run_link(tick: Tick) -> str:
    """A link to the run that was sent."""
    url = tick.run_url()
    if url:
        return format_html('<a href="{}">run</a>', url)
    return format_html('<span title="{}">run</span>', tick.run_id) if tick.run_id else "-"

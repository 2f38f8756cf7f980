"""What the pages show of runs beyond their plain columns."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from project.tasks.models import TaskRun


@admin.display(description="state")
def state(run: TaskRun) -> str:
    """The state as a coloured word, with how far a running task has come."""
    badge = state_badge(run.state)
    if run.state == TaskRun.State.RUNNING and run.progress is not None:
        return format_html("{} {}%", badge, round(run.progress * 100))
    return badge


def state_badge(name: str) -> str:
    """Show a state as a coloured word."""
    return format_html('<span class="run-state run-state-{}">{}</span>', name, name)


@admin.display(description="sent")
def sent(run: TaskRun) -> str:
    """How long ago it was sent."""
    return moment(run.created_at)


@admin.display(description="took")
def took(run: TaskRun) -> str:
    """How long the last attempt took, or has taken so far."""
    return "-" if run.duration is None else format_html('<span class="run-nowrap">{}</span>', short(run.duration))


@admin.display(description="error")
def error(run: TaskRun) -> str:
    """The type of the last error."""
    return run.error_type or "-"


@admin.display(description="sent by")
def cause(run: TaskRun) -> str:
    """Who or what sent it."""
    return run.schedule or (str(run.user) if run.user_id else run.source)


def moment(at: datetime | None) -> str:
    """Show a time as its distance from now; exactly when hovered over."""
    if at is None:
        return "-"
    ahead = at > timezone.now()
    distance = _rough(abs(timezone.now() - at))
    text = f"in {distance}" if ahead else f"{distance} ago"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S.%f} UTC", text
    )


def instant(at: datetime) -> str:
    """Show a time to the millisecond."""
    local = f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S.%f}"
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), local[:-3])


def short(duration: timedelta) -> str:
    """Write a duration with the one unit that matters, or two."""
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 - of a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _rough(duration: timedelta) -> str:
    """Write a duration with one unit."""
    seconds = int(duration.total_seconds())
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def run_url(run_id: UUID | str) -> str:
    """Return the address of a run's page."""
    return reverse("admin:tasks_taskrun_change", args=[run_id])


def run_link(run_id: UUID | str | None, text: Any = None) -> str:
    """Link to a run's page."""
    return "-" if run_id is None else format_html('<a href="{}">{}</a>', run_url(run_id), text or run_id)

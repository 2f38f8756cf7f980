"""The pieces of HTML that several pages show: a state, a time, a link to a run."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from project.values.text import from_now, utc


def state_badge(name: str) -> str:
    """Show a state as a coloured word."""
    return format_html('<span class="run-state run-state-{}">{}</span>', name, name)


def moment(at: datetime | None) -> str:
    """Show a time as its distance from now; the time itself when the mouse rests on it."""
    if at is None:
        return "-"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), utc(at), from_now(at))


def instant(at: datetime) -> str:
    """Show a time to the millisecond, in the service's time zone."""
    local = f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S.%f}"
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), local[:-3])


def run_url(run_id: UUID | str) -> str:
    """Return the address of a run's page."""
    return reverse("admin:tasks_taskrun_change", args=[run_id])


def run_link(run_id: UUID | str | None, text: Any = None) -> str:
    """Link to a run's page; "-" if there is no run."""
    return "-" if run_id is None else format_html('<a href="{}">{}</a>', run_url(run_id), text or run_id)

"""The columns of the list of runs that are more than a field."""

from django.contrib import admin
from django.utils.html import format_html

from project.desk.admin.elements import moment, state_badge
from project.tasks.models import TaskRun
from project.values import text


@admin.display(description="state")
def state(run: TaskRun) -> str:
    """The state as a coloured word, with how far a running task has come."""
    badge = state_badge(run.state)
    if run.state == TaskRun.State.RUNNING and run.progress is not None:
        return format_html("{} {}%", badge, round(run.progress * 100))
    return badge


@admin.display(description="sent")
def sent(run: TaskRun) -> str:
    """How long ago it was sent."""
    return moment(run.created_at)


@admin.display(description="took")
def took(run: TaskRun) -> str:
    """How long the last attempt took, or has taken so far."""
    return format_html('<span class="run-nowrap">{}</span>', text.took(run.duration))


@admin.display(description="error")
def error(run: TaskRun) -> str:
    """The type of the last error."""
    return run.error_type or "-"


@admin.display(description="sent by")
def cause(run: TaskRun) -> str:
    """Who or what sent it."""
    return run.schedule or (str(run.user) if run.user_id else run.source)

"""The list of runs: its filters, its search, and the queries that stay fast at millions of rows."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from pydantic import ValidationError

from project.tasks.declared import all_tasks
from project.tasks.filters import RunFilter
from project.tasks.models import TaskRun

#: Columns that no list shows and that may be large.
LARGE_COLUMNS = ("arguments", "result", "error", "traceback", "next_steps")
_SINCE = {
    "hour": ("Past hour", timedelta(hours=1)),
    "day": ("Past 24 hours", timedelta(days=1)),
    "week": ("Past 7 days", timedelta(days=7)),
}
_NAMED = ("state", "task", "queue", "schedule", "fingerprint", "error_type", "batch")


def filter_of(parameters: QueryDict) -> RunFilter:
    """Read the filter from a list's address.

    Raises:
        IncorrectLookupParameters: If it makes no sense; a filter that is ignored would match every run.
    """
    given: dict[str, Any] = {name: parameters[name] for name in _NAMED if name in parameters}
    try:
        return RunFilter(**given, since=_since(parameters.get("sent", "")))
    except (ValidationError, KeyError) as error:
        raise IncorrectLookupParameters from error


def address_of(which: RunFilter) -> str:
    """Return the query of the list that shows these runs; its time filter only knows three steps."""
    parameters = QueryDict(mutable=True)
    parameters.update({name: value for name, value in which.stored().items() if name in _NAMED})
    return parameters.urlencode()


def _since(step: str) -> datetime | None:
    return timezone.now() - _SINCE[step][1] if step else None


class _Filter(admin.SimpleListFilter):
    """Offers values; `RunList` applies what was chosen."""

    template = "admin/filter.html"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Leave the work to `RunList`."""

    def _or_given(self, request: HttpRequest, names: Iterable[str]) -> list[tuple[str, str]]:
        given = request.GET.get(str(self.parameter_name))
        return [(name, name) for name in dict.fromkeys([*names, *([given] if given else [])])]


class StateFilter(_Filter):
    """Where in their life runs are."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every state."""
        return [(str(value), str(label)) for value, label in TaskRun.State.choices]


class TaskFilter(_Filter):
    """Runs of one task."""

    title = parameter_name = "task"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every task that code declares, and the one that was asked for."""
        return self._or_given(request, all_tasks())


class QueueFilter(_Filter):
    """Runs of one queue."""

    title = parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every queue that code declares, and the one that was asked for."""
        return self._or_given(request, sorted({task.queue_name for task in all_tasks().values()}))


class SentFilter(_Filter):
    """Runs sent lately."""

    title = parameter_name = "sent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer three steps."""
        return [(step, label) for step, (label, _) in _SINCE.items()]


class _GivenFilter(_Filter):
    """A filter that other pages link to; it shows only that it is on."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer what was asked for."""
        return self._or_given(request, ())


class ScheduleFilter(_GivenFilter):
    """Runs that one schedule sent."""

    title = parameter_name = "schedule"


class FailureFilter(_GivenFilter):
    """Runs that died in the same way."""

    title, parameter_name = "kind of failure", "fingerprint"


class ErrorFilter(_GivenFilter):
    """Runs that died of the same exception."""

    title, parameter_name = "error", "error_type"


class BatchFilter(_GivenFilter):
    """The members of one batch."""

    title = parameter_name = "batch"


FILTERS = (
    StateFilter, SentFilter, TaskFilter, QueueFilter, ScheduleFilter, FailureFilter, ErrorFilter, BatchFilter,
)  # fmt: skip


class RunList(ChangeList):
    """The list, filtered along the indexes."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the runs of the page and those around it."""
        runs = super().get_queryset(request, exclude_parameters)
        return filter_of(request.GET).newest(runs).defer(*LARGE_COLUMNS)


def search(runs: QuerySet[TaskRun], term: str) -> QuerySet[TaskRun]:
    """Find runs by an id (of the run, its parent or its batch), a task, a schedule, a request or a user's name.

    Each of them has an index; there is no search inside texts.
    """
    term = term.strip().replace("\x00", "")
    try:
        run_id = UUID(term)
    except ValueError:
        tasks = [name for name in all_tasks() if term in name]
        if tasks:
            return runs.filter(task__in=tasks)
        user = get_user_model().objects.filter(username=term).values_list("pk", flat=True).first()
        named = Q(schedule=term) | Q(request_id=term) if term else Q()
        return runs.filter(named | Q(user=user) if user is not None else named)
    return runs.filter(Q(id=run_id) | Q(parent_id=run_id) | Q(batch=run_id) | Q(bulk_id=run_id))

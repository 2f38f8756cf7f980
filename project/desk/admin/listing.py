"""The list of runs: the filters it offers, its search, and the queries that stay fast at millions of rows."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.core.paginator import Page
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from project.desk.admin.addresses import NAMES, SINCE, filter_of
from project.desk.admin.read_only import MOST_PAGED, BoundedPaginator
from project.tasks.declaration import all_declarations
from project.tasks.models import TaskRun

#: Columns that no list shows and that may be large.
LARGE_COLUMNS = ("arguments", "result", "error", "traceback", "next_steps")


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
        return self._or_given(request, all_declarations())


class QueueFilter(_Filter):
    """Runs of one queue."""

    title = parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every queue that code declares, and the one that was asked for."""
        return self._or_given(request, sorted({task.queue for task in all_declarations().values()}))


class SentFilter(_Filter):
    """Runs sent lately."""

    title = parameter_name = "sent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer three steps."""
        return [(step, label) for step, (label, _) in SINCE.items()]


class _GivenFilter(_Filter):
    """A filter that other pages link to; it shows only that it is on."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer what was asked for."""
        return self._or_given(request, ())


_OFFERED = (StateFilter, SentFilter, TaskFilter, QueueFilter)
_TITLES = {"fingerprint": "kind of failure", "error_type": "error", "bulk_id": "bulk retry", "parent_id": "sent by run"}


def _given(name: str) -> type[_GivenFilter]:
    title = _TITLES.get(name, name.removesuffix("_id").replace("_", " "))
    return type(f"{name.title()}Filter", (_GivenFilter,), {"title": title, "parameter_name": name})


#: Every filter there is: what Django does not find here, it would take for a column.
FILTERS: tuple[type[admin.ListFilter], ...] = (
    *_OFFERED,
    *(_given(name) for name in NAMES if name not in {str(offered.parameter_name) for offered in _OFFERED}),
)


class RunList(ChangeList):
    """The list, filtered along the indexes."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return every run that matches."""
        which = filter_of(request.GET)
        return which.matching(super().get_queryset(request, exclude_parameters)).defer(*LARGE_COLUMNS)

    def get_results(self, request: HttpRequest) -> None:
        """Read the runs of the page, also where it is the only one."""
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.paginator.page(1).object_list


class RunPaginator(BoundedPaginator):
    """Counts and reads the newest of the runs that a request asks for.

    Args:
        request: What asks for them.
        per_page: How many a page shows.
    """

    def __init__(self, request: HttpRequest, per_page: int) -> None:
        term = request.GET.get("q", "")
        runs = TaskRun.objects.select_related("user").defer(*LARGE_COLUMNS)
        self._runs, self._is_searched = search(runs, term) if term else runs, bool(term)
        self._which = filter_of(request.GET)
        super().__init__(self._runs, per_page)

    @cached_property
    def count(self) -> int:
        """How many there are, or the bound if there are more."""
        return self._newest(MOST_PAGED).count()

    def page(self, number: int | str) -> Page[TaskRun]:
        """Return a page; the first is number 1."""
        number = self.validate_number(number)
        return Page(self._newest(self.per_page, skip=(number - 1) * self.per_page), number, self)

    def _newest(self, most: int, *, skip: int = 0) -> QuerySet[TaskRun]:
        return self._which.newest(most, skip=skip, runs=self._runs, is_searched=self._is_searched)


def search(runs: QuerySet[TaskRun], term: str) -> QuerySet[TaskRun]:
    """Find runs by an id (of the run, its parent or its batch), a task, a schedule, a request or a user's name.

    Each of them has an index; there is no search inside texts.
    """
    term = term.strip().replace("\x00", "")
    try:
        run_id = UUID(term)
    except ValueError:
        tasks = [name for name in all_declarations() if term in name]
        if tasks:
            return runs.filter(task__in=tasks)
        user = get_user_model().objects.filter(username=term).values_list("pk", flat=True).first()
        named = Q(schedule=term) | Q(request_id=term) if term else Q()
        return runs.filter(named | Q(user=user) if user is not None else named)
    return runs.filter(Q(id=run_id) | Q(parent_id=run_id) | Q(batch=run_id) | Q(bulk_id=run_id))

"""Runs in the admin: the list, each run's page, the failures, and the buttons that repair."""

from functools import partial
from typing import Any, ClassVar, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from project.desk.admin import run_columns
from project.desk.admin.addresses import address_of, filter_of
from project.desk.admin.elements import moment
from project.desk.admin.export import export
from project.desk.admin.listing import FILTERS, RunList, RunPaginator, search
from project.desk.admin.read_only import MOST_PAGED, ReadOnlyAdmin, may_repair, require_look
from project.desk.admin.repair import CANCEL, DISCARD, REPAIRS, RETRY, repair_run, repair_selected
from project.desk.admin.retry_all import retry_all
from project.desk.admin.run_page import run_context
from project.desk.failures import failure_groups
from project.tasks.models import TaskRun


@admin.register(TaskRun)
class TaskRunAdmin(ReadOnlyAdmin):
    """Every run that was sent, newest first."""

    list_display = (
        "task",
        run_columns.state,
        run_columns.error,
        run_columns.sent,
        run_columns.took,
        run_columns.cause,
        "queue",
    )
    list_select_related = ("user",)
    list_filter = FILTERS
    search_fields = ("id",)
    search_help_text = "An id of a run, its parent, its batch or its bulk retry; a task, a schedule, a request, a user."
    actions = ("retry_selected", "discard_selected", "cancel_selected")
    change_list_template = "admin/tasks/taskrun/change_list.html"

    class Media:
        css: ClassVar = {"all": ("scheduler/wide_list.css",)}

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[RunList]:
        """Use the list that is filtered along the indexes."""
        return RunList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TaskRun], search_term: str
    ) -> tuple[QuerySet[TaskRun], bool]:
        """Search what has an index."""
        return (search(queryset, search_term) if search_term else queryset), False

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that repair."""
        view = self.admin_site.admin_view
        repairs = [
            path(f"<uuid:run_id>/{name}/", view(partial(self._repair, name=name)), name=f"tasks_taskrun_{name}")
            for name in REPAIRS
        ]
        pages = [
            path("failures/", view(self.failures), name="tasks_taskrun_failures"),
            path("export/", view(self._filtered(export)), name="tasks_taskrun_export"),
            path("retry-all/", view(self._filtered(partial(retry_all, self))), name="tasks_taskrun_retry_all"),
        ]
        return [*pages, *repairs, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list with what can be done with all of it."""
        context = {"may_repair": may_repair(request), "most_paged": MOST_PAGED, "most_paged_text": f"{MOST_PAGED:,}"}
        show = partial(super().changelist_view, extra_context=context | (extra_context or {}))
        return cast("HttpResponse", self._filtered(show)(request))

    def get_paginator(self, request: HttpRequest, queryset: Any, per_page: int, *_: Any, **__: Any) -> RunPaginator:
        """Page along the indexes."""
        return RunPaginator(request, per_page)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a run."""
        require_look(request)
        run = self._find(object_id)
        context = self.page(request, run.task, **run_context(request, run))
        return TemplateResponse(request, "admin/tasks/taskrun/run.html", context)

    def failures(self, request: HttpRequest) -> HttpResponse:
        """Show what dead runs died of."""
        require_look(request)
        groups = [(group, address_of(group.filter), moment(group.died_at)) for group in failure_groups()]
        context = self.page(request, "Failures", groups=groups, may_repair=may_repair(request))
        return TemplateResponse(request, "admin/tasks/taskrun/failures.html", context)

    def has_repair_permission(self, request: HttpRequest) -> bool:
        """Say who may repair; asked by Django before an action is shown or run."""
        return may_repair(request)

    @admin.action(description="Retry selected runs", permissions=["repair"])
    def retry_selected(self, request: HttpRequest, runs: QuerySet[TaskRun]) -> HttpResponse | None:
        """Try the selected runs again."""
        return repair_selected(self, request, runs, RETRY)

    @admin.action(description="Discard selected runs", permissions=["repair"])
    def discard_selected(self, request: HttpRequest, runs: QuerySet[TaskRun]) -> HttpResponse | None:
        """Take the selected runs off the list of what needs attention."""
        return repair_selected(self, request, runs, DISCARD)

    @admin.action(description="Cancel selected runs", permissions=["repair"])
    def cancel_selected(self, request: HttpRequest, runs: QuerySet[TaskRun]) -> HttpResponse | None:
        """Keep the selected runs from starting, or stop them."""
        return repair_selected(self, request, runs, CANCEL)

    def _repair(self, request: HttpRequest, run_id: UUID, *, name: str) -> HttpResponse:
        return repair_run(self, request, run_id, REPAIRS[name])

    def _find(self, object_id: str) -> TaskRun:
        try:
            return TaskRun.objects.select_related("user", "batch").get(id=UUID(object_id))
        except (ValueError, TaskRun.DoesNotExist):
            raise Http404("There is no such run; its row may have been pruned.") from None

    def _filtered(self, view: Any) -> Any:
        def answer(request: HttpRequest) -> Any:
            try:
                filter_of(request.GET)
            except IncorrectLookupParameters as error:
                messages.error(request, f"That filter is refused, so these are all runs. {error}")
                return redirect(f"{reverse('admin:tasks_taskrun_changelist')}?{ERROR_FLAG}=1")
            return view(request)

        return answer

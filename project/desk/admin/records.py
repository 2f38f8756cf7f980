"""Workers, batches and the record of operator actions in the admin: to look at."""

import json
from typing import Any, cast

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html

from project.desk.admin.elements import moment, run_link, state_badge
from project.desk.admin.read_only import ReadOnlyAdmin, require_look
from project.tasks.models import OperatorAction, TaskBatch, TaskRun, Worker
from project.tasks.repair.audit import ACTIONS, RUN_ACTIONS
from project.tasks.upkeep.dead_workers import PRESUMED_DEAD_AFTER


def _members(*states: str) -> Coalesce:
    """Count a batch's members in these states, with the index on batch and state."""
    members = TaskRun.objects.filter(batch=OuterRef("id"), state__in=states).order_by().values("batch")
    return Coalesce(Subquery(members.annotate(runs=Count("id")).values("runs")), 0)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Living worker and scheduler processes."""

    list_display = ("__str__", "kind", "consumes", "threads", "runs", "since", "beat")
    list_filter = ("kind",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count what each executes."""
        running = TaskRun.objects.filter(worker_id=OuterRef("id"), state=TaskRun.State.RUNNING).order_by()
        counted = running.values("worker_id").annotate(runs=Count("id")).values("runs")
        workers: QuerySet[Any] = super().get_queryset(request)
        return cast("QuerySet[Any]", workers.annotate(runs=Coalesce(Subquery(counted), 0)))

    @admin.display(description="queues")
    def consumes(self, worker: Worker) -> str:
        """The queues it consumes."""
        return ", ".join(worker.queues) or "-"

    @admin.display(description="running")
    def runs(self, worker: Any) -> int:
        """How many runs it executes."""
        return int(worker.runs)

    @admin.display(description="started")
    def since(self, worker: Worker) -> str:
        """How long it has lived."""
        return moment(worker.started_at)

    @admin.display(description="last beat")
    def beat(self, worker: Worker) -> str:
        """When it was last heard of."""
        if worker.beat_at < timezone.now() - PRESUMED_DEAD_AFTER:
            return format_html('{} <span class="run-state run-state-dead">silent</span>', moment(worker.beat_at))
        return moment(worker.beat_at)


@admin.register(TaskBatch)
class TaskBatchAdmin(ReadOnlyAdmin):
    """Runs that were sent together."""

    list_display = ("label", "progress", "failed", "total", "sent", "callback")
    list_filter = (("finished_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "id__exact")
    list_per_page = 25

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count the members by how they ended."""
        failed = [state for state in TaskRun.State if state not in (*TaskRun.UNFINISHED, TaskRun.State.SUCCEEDED)]
        counts = {"succeeded_runs": _members(TaskRun.State.SUCCEEDED), "failed_runs": _members(*failed)}
        batches: QuerySet[Any] = super().get_queryset(request)
        return cast("QuerySet[Any]", batches.annotate(**counts))

    @admin.display(description="batch")
    def label(self, batch: TaskBatch) -> str:
        """Its name, or the end of its id."""
        return batch.name or f"…{str(batch.id)[-12:]}"

    @admin.display(description="progress")
    def progress(self, batch: Any) -> str:
        """How many members have ended, as a bar."""
        ended = batch.succeeded_runs + batch.failed_runs
        if batch.finished_at is not None:
            # Pruning may have taken members since.
            return format_html("ended {}", moment(batch.finished_at))
        return format_html(
            '<progress max="{0}" value="{1}" aria-label="{1} of {0} have ended"></progress> {1} of {0}',
            batch.total,
            ended,
        )

    @admin.display(description="failed")
    def failed(self, batch: Any) -> int:
        """How many members ended without a result."""
        return int(batch.failed_runs)

    @admin.display(description="sent")
    def sent(self, batch: TaskBatch) -> str:
        """How long ago it was sent."""
        return moment(batch.created_at)

    @admin.display(description="callback")
    def callback(self, batch: TaskBatch) -> str:
        """The run of the callback, once it was sent."""
        return run_link(batch.callback_id)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show how far the batch is."""
        require_look(request)
        batch = self.row(request, object_id)
        members = TaskRun.objects.filter(batch=batch)
        counts = members.order_by().values_list("state").annotate(runs=Count("id"))
        rows = [(state_badge(state), state, runs) for state, runs in sorted(counts)]
        ended = sum(runs for _, state, runs in rows if state not in TaskRun.UNFINISHED)
        context = self.page(
            request,
            batch.name or "Batch",
            key=batch.id,
            batch=batch,
            rows=rows,
            ended=ended,
            sent=moment(batch.created_at),
            finished=moment(batch.finished_at),
            calls=[(name, json.dumps(call, indent=2)) for name, call in _callbacks(batch) if call],
            callback=run_link(batch.callback_id),
        )
        return TemplateResponse(request, "admin/tasks/batch.html", context)


def _callbacks(batch: TaskBatch) -> list[tuple[str, Any]]:
    return [("When all have succeeded", batch.then), ("When one has not", batch.on_failure)]


class ActionFilter(admin.SimpleListFilter):
    """Actions of one kind."""

    title = parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer what operators can do."""
        return [(name, name) for name in ACTIONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the chosen ones."""
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    """Who did what, when and why; nobody can change it."""

    list_display = ("when", "who", "action", "on", "reason", "source")
    list_filter = (ActionFilter,)
    search_fields = ("who__exact", "target__exact")
    search_help_text = "A user's name, a run's id, a queue's or a schedule's name."
    fields = ("at", "who", "source", "action", "target", "reason", "before", "after")

    @admin.display(description="when")
    def when(self, action: OperatorAction) -> str:
        """How long ago."""
        return moment(action.at)

    @admin.display(description="on")
    def on(self, action: OperatorAction) -> str:
        """What it was done to; a run as a link."""
        return run_link(action.target) if action.action in RUN_ACTIONS else action.target

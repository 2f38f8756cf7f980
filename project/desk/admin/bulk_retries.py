"""Bulk retries in the admin: how far they are, how many fail again, and the button that stops one."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from project.desk.admin.elements import moment
from project.desk.admin.forms import ReasonForm
from project.desk.admin.read_only import ReadOnlyAdmin, may_repair, require_look, require_repair
from project.desk.admin.repair import CONFIRM
from project.tasks.errors import RunStateError
from project.tasks.models import BulkRetry
from project.tasks.repair.bulk import bulk_progress, stop_bulk_retry
from project.tasks.repair.filters import RunFilter


@admin.register(BulkRetry)
class BulkRetryAdmin(ReadOnlyAdmin):
    """What was retried in bulk, newest first."""

    list_display = ("which", "status", "retried", "refused", "rate", "who", "started")

    @admin.display(description="runs")
    def which(self, bulk: BulkRetry) -> str:
        """Which runs it retries."""
        return str(RunFilter(**bulk.filter))

    @admin.display(description="status")
    def status(self, bulk: BulkRetry) -> str:
        """Whether it is under way, or how it ended."""
        return bulk.get_outcome_display() or "under way"

    @admin.display(description="started")
    def started(self, bulk: BulkRetry) -> str:
        """How long ago it began."""
        return moment(bulk.created_at)

    def get_urls(self) -> list[URLPattern]:
        """Add the page that stops one."""
        stop = path("<uuid:bulk_id>/stop/", self.admin_site.admin_view(self.stop), name="tasks_bulkretry_stop")
        return [stop, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show how far it is."""
        require_look(request)
        bulk = self.row(request, object_id)
        progress = bulk_progress(bulk.id)
        context = self.page(
            request,
            "Bulk retry",
            key=bulk.id,
            bulk=bulk,
            which=RunFilter(**bulk.filter),
            status=self.status(bulk),
            progress=progress,
            failed_percent=round(progress.error_share * 100),
            most_percent=round(bulk.max_error_share * 100),
            may_stop=may_repair(request) and bulk.finished_at is None,
            started=moment(bulk.created_at),
            ended=moment(bulk.finished_at),
        )
        return TemplateResponse(request, "admin/tasks/bulk_retry.html", context)

    def stop(self, request: HttpRequest, bulk_id: UUID) -> HttpResponse:
        """Ask whether to stop it, and stop it when that is confirmed."""
        operator = require_repair(request)
        bulk = get_object_or_404(BulkRetry, id=bulk_id)
        back = reverse("admin:tasks_bulkretry_change", args=[bulk_id])
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                stop_bulk_retry(bulk_id, by=operator, reason=form.cleaned_data["reason"])
            except RunStateError as error:
                messages.error(request, str(error))
            else:
                messages.success(request, "The bulk retry is stopped; runs that were already retried go on.")
            return redirect(back)
        context = self.page(
            request,
            "Stop the bulk retry",
            form=form,
            warning="No more runs are retried. Those that were already retried go on.",
            facts=[("Runs", RunFilter(**bulk.filter)), ("Retried", bulk.retried)],
            label="Stop it",
            is_destructive=True,
            back=back,
        )
        return TemplateResponse(request, CONFIRM, context)

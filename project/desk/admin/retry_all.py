"""Retrying all runs that match a filter: how many, how fast, and when to stop."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from project.desk.admin.addresses import address_of, filter_of
from project.desk.admin.forms import BulkRetryForm
from project.desk.admin.read_only import ReadOnlyAdmin, require_repair
from project.desk.admin.repair import CONFIRM
from project.tasks.models import BulkRetry
from project.tasks.repair.audit import Operator
from project.tasks.repair.bulk import start_bulk_retry, what_to_retry
from project.tasks.repair.filters import RunFilter

#: Further than this, "more than" is good enough.
MOST_COUNTED = 10_000


def retry_all(admin: ReadOnlyAdmin, request: HttpRequest) -> HttpResponse:
    """Ask how to retry all runs that match the list's filter, and begin when that is confirmed."""
    operator = require_repair(request)
    back = f"{reverse('admin:tasks_taskrun_changelist')}?{request.GET.urlencode()}"
    if request.GET.get("q"):
        messages.error(request, "What a search finds is not retried in bulk: choose filters, or select the runs.")
        return redirect(back)
    try:
        which = what_to_retry(filter_of(request.GET))
    except ValueError as error:
        messages.error(request, str(error))
        return redirect(back)
    form = BulkRetryForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and (bulk := _start(request, which, form.cleaned_data, by=operator)):
        return redirect("admin:tasks_bulkretry_change", bulk.id)
    context = admin.page(
        request,
        "Retry all that match",
        form=form,
        warning="The oldest runs come first. It goes on without this page, and stops when too many runs fail again.",
        facts=[("Runs", _count(which)), *_titled(which)],
        # What the past hour was, and what had died, when the question was asked.
        action=f"?{address_of(which)}",
        label="Retry all",
        back=back,
    )
    return TemplateResponse(request, CONFIRM, context)


def _start(request: HttpRequest, which: RunFilter, chosen: dict[str, Any], *, by: Operator) -> BulkRetry | None:
    share = chosen["max_error_percent"] / 100
    try:
        bulk = start_bulk_retry(which, rate=chosen["rate"], max_error_share=share, by=by, reason=chosen["reason"])
    except ValueError as error:
        messages.error(request, str(error))
        return None
    messages.success(request, "The bulk retry has begun; a worker or scheduler carries it on.")
    return bulk


def _titled(which: RunFilter) -> list[tuple[str, str]]:
    return [(name.replace("_", " ").capitalize(), value) for name, value in which.shown().items()]


def _count(which: RunFilter) -> str:
    count = which.matching()[: MOST_COUNTED + 1].count()
    return f"more than {MOST_COUNTED:,}" if count > MOST_COUNTED else f"{count:,}"

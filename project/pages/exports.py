"""Exports on the page: ordered beside one's todos, downloaded where their run is shown."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast, get_args
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from project.pages.signed_in import member, member_page, refused
from project.pages.todo_view import View
from reports import services
from reports.api import EXPORTS
from reports.downloads import download
from reports.errors import ExportExpiredError, ExportNotFoundError, ExportRefusedError, ReportsError, StorageAwayError
from reports.schemas import ExportFormat
from reports.tasks import export_todos

_STATUS = {
    ExportNotFoundError: HTTPStatus.NOT_FOUND,
    ExportExpiredError: HTTPStatus.GONE,
    StorageAwayError: HTTPStatus.SERVICE_UNAVAILABLE,
}


@member_page
def order_export(request: HttpRequest) -> HttpResponse:
    """Have one's todos written into a file."""
    if request.method == "POST":
        if problem := _order(member(request).pk, request.POST.get("format", "")):
            messages.error(request, problem)
        return redirect(View.of(QueryDict(request.POST.get("back", ""))).url)
    return redirect("todos")


@member_page
def download_export(request: HttpRequest, export_id: UUID) -> HttpResponse:
    """Download an export, or see why not."""
    try:
        # The decorators know of no answer but one with content of its own; a file is none.
        return cast("HttpResponse", _download(request, export_id))
    except ReportsError as error:
        status = _STATUS[type(error)]
        return refused(request, title="No download", text=f"{error}.", status=status)


def _order(user_id: int, wanted: str) -> str:
    """Send the export, or say why not."""
    if wanted not in get_args(ExportFormat):
        return "Choose CSV, JSON lines or PDF."
    if EXPORTS.hit(str(user_id)) is not None:
        return "That was too often in a short time. Wait a minute, then try again."
    chosen = cast("ExportFormat", wanted)
    try:
        services.check_export(user_id=user_id, kind=chosen)
    except ExportRefusedError as error:
        return f"{error}."
    export_todos.send(user_id=user_id, format=chosen)
    return ""


def _download(request: HttpRequest, export_id: UUID) -> HttpResponseBase:
    return download(services.find_export(export_id=export_id, user=member(request)))

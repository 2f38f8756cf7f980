"""The page of one's own runs: the same that `/v1/tasks` lists."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from project.desk.own_runs import find_own_run, runs_caused_by
from project.pages.runs import PAGE, card, cards
from project.pages.signed_in import member, member_page, way_back
from project.tasks.errors import RunStateError
from project.tasks.models import TaskRun
from project.tasks.repair import operations
from project.tasks.repair.audit import Operator

_SHOWN = {"": "All", "unfinished": "Under way", "ended": "Ended"}


@member_page
def my_tasks(request: HttpRequest) -> HttpResponse:
    """List one's runs, newest first."""
    show = request.GET.get("show", "")
    show = show if show in _SHOWN else ""
    runs = list(_chosen(runs_caused_by(member(request).pk), show, before=request.GET.get("before", ""))[: PAGE + 1])
    tabs = [
        {"show": name or "all", "label": label, "url": f"?show={name}" if name else "?", "is_shown": name == show}
        for name, label in _SHOWN.items()
    ]
    older = f"?show={show}&before={runs[PAGE - 1].id}" if len(runs) > PAGE else ""
    context = {"runs": cards(runs[:PAGE]), "tabs": tabs, "older": older}
    return render(request, "pages/my_tasks.html", context)


@member_page
def my_task(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Show one run; the list of todos is read again when it has ended."""
    run = card(_own_run(request, run_id))
    response = render(request, "pages/my_task.html", {"run": run})
    if not run.is_moving:
        response["HX-Trigger"] = "todos-changed"
    return response


@member_page
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Keep a run from starting, or stop it."""
    if request.method != "POST":
        return redirect("my-task", run_id)
    _own_run(request, run_id)
    try:
        operations.cancel(run_id, by=Operator(member(request).get_username(), "page"), reason="")
        messages.success(request, "It is being cancelled.")
    except RunStateError:
        messages.error(request, "It had ended already.")
    return redirect(way_back(request, otherwise=reverse("my-tasks")))


def _chosen(runs: QuerySet[TaskRun], show: str, *, before: str) -> QuerySet[TaskRun]:
    if show:
        runs = runs.filter(state__in=TaskRun.UNFINISHED if show == "unfinished" else TaskRun.ENDED)
    try:
        runs = runs.filter(id__lt=UUID(before)) if before else runs
    except ValueError:
        raise Http404 from None
    return runs.order_by("-id")


def _own_run(request: HttpRequest, run_id: UUID) -> TaskRun:
    try:
        return find_own_run(run_id, user_id=member(request).pk)
    except TaskRun.DoesNotExist:
        raise Http404 from None

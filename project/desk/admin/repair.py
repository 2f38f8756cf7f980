"""Retrying, cancelling and discarding: asked first, then done by the operations, which record it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse

from project.desk.admin.elements import run_url
from project.desk.admin.forms import ArgumentsForm, ReasonForm
from project.desk.admin.read_only import ReadOnlyAdmin, require_repair
from project.tasks.errors import TaskError
from project.tasks.models import TaskRun
from project.tasks.repair import operations
from project.tasks.repair.audit import Operator

CONFIRM = "admin/tasks/confirm.html"
#: Acted on one by one, while the browser waits; more are a bulk retry's business.
MOST_SELECTED = 1000


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Something an operator can do to a run.

    Args:
        name: As in addresses.
        label: What the button says.
        states: In which states of the run it is possible.
        done: What is said when it is done.
        warning: What it means.
        act: Does it.
    """

    name: str
    label: str
    states: tuple[TaskRun.State, ...]
    done: str
    warning: str
    act: Callable[..., TaskRun]

    @property
    def is_destructive(self) -> bool:
        """Whether the button is red."""
        return self.name in ("cancel", "discard")


RETRY = Repair(
    name="retry",
    label="Retry",
    states=operations.RETRYABLE,
    done="will be tried again",
    warning="A worker executes the task again with the same arguments; its failures are counted from zero.",
    act=operations.retry,
)
EDIT = Repair(
    name="edit",
    label="Edit arguments and retry",
    states=operations.RETRYABLE,
    done="will be tried again",
    warning="A worker executes the task again with these arguments; its failures are counted from zero.",
    act=operations.retry,
)
CANCEL = Repair(
    name="cancel",
    label="Cancel the run",
    states=TaskRun.UNFINISHED,
    done="is cancelled, or will be within seconds if it is running",
    warning="A waiting run is not started any more; in a running one, TaskCancelled is raised.",
    act=operations.cancel,
)
DISCARD = Repair(
    name="discard",
    label="Discard",
    states=(TaskRun.State.DEAD,),
    done="is discarded",
    warning="A discarded run no longer counts as something that needs attention. It can still be retried.",
    act=operations.discard,
)
REPAIRS = {repair.name: repair for repair in (RETRY, EDIT, CANCEL, DISCARD)}


def repair_run(admin: ReadOnlyAdmin, request: HttpRequest, run_id: UUID, repair: Repair) -> HttpResponse:
    """Ask whether to do something to a run, and do it when that is confirmed."""
    operator = require_repair(request)
    run = get_object_or_404(TaskRun, id=run_id)
    data = request.POST if request.method == "POST" else None
    form = ArgumentsForm(data, run=run) if repair is EDIT else ReasonForm(data)
    if form.is_valid() and _is_done(request, run_id, repair, by=operator, **form.cleaned_data):
        return redirect(run_url(run_id))
    context = admin.page(
        request,
        f"{repair.label}: {run.task}",
        form=form,
        warning=repair.warning,
        facts=[("Run", run.id), ("Task", run.task), ("State", run.state)],
        label="Retry with these arguments" if repair is EDIT else repair.label,
        is_destructive=repair.is_destructive,
        back=run_url(run_id),
    )
    return TemplateResponse(request, CONFIRM, context)


def repair_selected(
    admin: ReadOnlyAdmin, request: HttpRequest, runs: QuerySet[TaskRun], repair: Repair
) -> HttpResponse | None:
    """Ask whether to do something to the selected runs, and do it when that is confirmed."""
    operator = require_repair(request)
    ids = list(runs.values_list("id", flat=True)[: MOST_SELECTED + 1])
    if len(ids) > MOST_SELECTED:
        messages.error(request, f"Select at most {MOST_SELECTED} runs, or retry all that match a filter.")
        return None
    form = ReasonForm(request.POST if "confirmed" in request.POST else None)
    if form.is_valid():
        _repair_many(request, ids, repair, by=operator, reason=form.cleaned_data["reason"])
        return None
    context = admin.page(
        request,
        f"{repair.name.capitalize()} {len(ids)} run{'' if len(ids) == 1 else 's'}",
        form=form,
        warning=repair.warning,
        facts=[("Runs", len(ids)), ("Possible for", ", ".join(repair.states))],
        label=repair.name.capitalize(),
        is_destructive=repair.is_destructive,
        back=request.get_full_path(),
        hidden=[("action", request.POST["action"]), ("confirmed", "1"), *((ACTION_CHECKBOX_NAME, id_) for id_ in ids)],
    )
    return TemplateResponse(request, CONFIRM, context)


def _is_done(request: HttpRequest, run_id: UUID, repair: Repair, **options: Any) -> bool:
    try:
        repair.act(run_id, **options)
    except TaskError as error:
        messages.error(request, str(error))
        return False
    messages.success(request, f"Run {run_id} {repair.done}.")
    return True


def _repair_many(request: HttpRequest, ids: Iterable[UUID], repair: Repair, *, by: Operator, reason: str) -> None:
    done, refused = 0, []
    for run_id in ids:
        try:
            repair.act(run_id, by=by, reason=reason)
        except (TaskError, TaskRun.DoesNotExist) as error:
            refused.append(str(error))
        else:
            done += 1
    if done:
        messages.success(request, f"{done} run{'' if done == 1 else 's'}: {repair.done}.")
    if refused:
        messages.warning(request, f"{len(refused)} left as they are, such as: {refused[0]}")

"""Runs, queues and workers over HTTP.

Everybody sees and cancels their own runs; staff who may view runs in the admin see all of them, and those who may
change them repair them.
Mount the router with the authentication of the service, and call `answer_task_errors`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Query, Router, Status
from ninja.errors import HttpError, ValidationError

from project.desk.overview import QueueNow, living_workers, queues_now
from project.desk.own_runs import find_own_run, runs_caused_by
from project.desk.permissions import may_look, may_repair
from project.desk.schemas import (
    PauseBody,
    QueueOut,
    RetryBody,
    RunDetails,
    RunOut,
    RunPage,
    RunQuery,
    Wait,
    Why,
    WorkerOut,
)
from project.desk.waiting import wait_for_end
from project.tasks.errors import RunStateError, TaskArgumentError, UnknownTaskError
from project.tasks.models import TaskRun, Worker
from project.tasks.repair import operations
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue, resume_queue
from project.web.errors import answer, refusals, refuse, refuse_fields

router = Router(tags=["tasks"])
_READING = refusals(401, 403, 422)
_REPAIRING = refusals(400, 401, 403, 404, 409, 422)


@router.get("", response={200: RunPage, **_READING}, operation_id="list_tasks")
def list_tasks(request: HttpRequest, query: Query[RunQuery]) -> dict[str, object]:
    """List your runs, newest first; for staff who may view runs everybody's, unless they ask for their `own`."""
    _refuse_unknown(request.GET)
    is_for_all = may_look(request.user) and not query.own
    runs = TaskRun.objects.order_by() if is_for_all else runs_caused_by(cast("int", request.user.pk))
    runs = runs.filter(id__lt=query.before) if query.before else runs
    most = query.limit + 1
    chosen = query.filter()
    page = list(chosen.newest(most, runs=runs) if is_for_all else chosen.matching(runs).order_by("-id")[:most])
    return {"tasks": page[: query.limit], "next": page[query.limit - 1].id if len(page) > query.limit else None}


@router.get("/queues", response={200: list[QueueOut], **_READING}, operation_id="list_queues")
def list_queues(request: HttpRequest) -> list[QueueOut]:
    """List queues and what is in them; for staff."""
    _reader(request)
    return [_queue_out(queue) for queue in queues_now()]


@router.post("/queues/{queue}/pause", response={200: QueueOut, **_REPAIRING}, operation_id="pause_queue")
def pause(request: HttpRequest, queue: str, body: PauseBody) -> QueueOut:
    """Start no more runs of a queue."""
    operator = _operator(request)
    _find_queue(queue)
    pause_queue(queue, by=operator, reason=body.reason, resume_at=body.resume_at)
    return _queue_out(_find_queue(queue))


@router.post("/queues/{queue}/resume", response={200: QueueOut, **_REPAIRING}, operation_id="resume_queue")
def resume(request: HttpRequest, queue: str, body: Why) -> QueueOut:
    """Start runs of a paused queue again; of one that is not paused, too."""
    operator = _operator(request)
    _find_queue(queue)
    resume_queue(queue, by=operator, reason=body.reason)
    return _queue_out(_find_queue(queue))


@router.get("/workers", response={200: list[WorkerOut], **_READING}, operation_id="list_workers")
def list_workers(request: HttpRequest) -> list[Worker]:
    """List living worker and scheduler processes; for staff."""
    _reader(request)
    return list(living_workers())


@router.get("/{run_id}", response={200: RunOut, **refusals(401, 404, 422)}, operation_id="get_task")
def get_task(request: HttpRequest, response: HttpResponse, run_id: UUID, query: Query[Wait]) -> TaskRun:
    """Return how a run stands: yours, or the one that was there when you asked; for staff who may view runs, any.

    With `wait` it is answered as soon as the run has ended, or when so many seconds are over. When too many wait
    already, the answer comes at once, and `Retry-After` says when to ask again.
    """
    run, was_waited_for = wait_for_end(lambda: _visible_run(request, run_id), seconds=query.wait)
    if not was_waited_for:
        response["Retry-After"] = "1"
    return run


@router.get(
    "/{run_id}/details", response={200: RunDetails, **refusals(401, 403, 404, 422)}, operation_id="get_task_details"
)
def get_task_details(request: HttpRequest, run_id: UUID) -> TaskRun:
    """Return everything about a run, with arguments and tracebacks; for staff."""
    _reader(request)
    return TaskRun.objects.prefetch_related("failed_attempts").get(id=run_id)


@router.post("/{run_id}/retry", response={202: RunOut, **_REPAIRING}, operation_id="retry_task")
def retry(request: HttpRequest, run_id: UUID, body: RetryBody) -> Status[TaskRun]:
    """Try a run again that has ended without a result, with its arguments or with others."""
    operator = _operator(request)
    return Status(202, operations.retry(run_id, by=operator, reason=body.reason, arguments=body.arguments))


@router.post("/{run_id}/cancel", response={202: RunOut, **_REPAIRING}, operation_id="cancel_task")
def cancel(request: HttpRequest, run_id: UUID, body: Why) -> Status[TaskRun]:
    """Keep a waiting run of yours from starting, or stop a running one; for staff who may change runs, anybody's."""
    by = _operator(request) if _is_not_theirs(request, run_id) else Operator(request.user.get_username(), "api")
    return Status(202, operations.cancel(run_id, by=by, reason=body.reason))


@router.post("/{run_id}/discard", response={200: RunOut, **_REPAIRING}, operation_id="discard_task")
def discard(request: HttpRequest, run_id: UUID, body: Why) -> TaskRun:
    """Take a dead run off the list of what needs attention."""
    return operations.discard(run_id, by=_operator(request), reason=body.reason)


def answer_task_errors(api: NinjaAPI) -> None:
    """Let `api` answer what the operations above raise."""
    answer(api, RunStateError, HTTPStatus.CONFLICT)
    answer(api, UnknownTaskError, HTTPStatus.CONFLICT)
    api.add_exception_handler(TaskRun.DoesNotExist, _no_such_run)
    api.add_exception_handler(TaskArgumentError, _unfit_arguments)


def _visible_run(request: HttpRequest, run_id: UUID) -> TaskRun:
    if may_look(request.user):
        return TaskRun.objects.get(id=run_id)
    return find_own_run(run_id, user_id=cast("int", request.user.pk))


def _is_not_theirs(request: HttpRequest, run_id: UUID) -> bool:
    """Tell whether a run is somebody else's, to staff who may know that.

    Raises:
        TaskRun.DoesNotExist: To everybody else.
    """
    try:
        find_own_run(run_id, user_id=cast("int", request.user.pk))
    except TaskRun.DoesNotExist:
        if not request.user.is_staff:
            raise
        return True
    return False


def _reader(request: HttpRequest) -> None:
    if not request.user.is_staff:
        raise HttpError(HTTPStatus.FORBIDDEN, "Staff access required")
    if not may_look(request.user):
        raise HttpError(HTTPStatus.FORBIDDEN, "Permission to view task runs required")


def _operator(request: HttpRequest) -> Operator:
    _reader(request)
    if not may_repair(request.user):
        raise HttpError(HTTPStatus.FORBIDDEN, "Permission to change task runs required")
    return Operator(request.user.get_username(), "api")


def _refuse_unknown(parameters: Mapping[str, Any]) -> None:
    """Refuse a filter that does not exist: ignored, it would match every run."""
    unknown = [name for name in parameters if name not in RunQuery.model_fields][:10]
    if unknown:
        message = "Extra inputs are not permitted"
        raise ValidationError([{"type": "extra_forbidden", "loc": ("query", name), "msg": message} for name in unknown])


def _find_queue(name: str) -> QueueNow:
    for queue in queues_now():
        if queue.name == name:
            return queue
    raise HttpError(HTTPStatus.NOT_FOUND, "Queue not found")


def _queue_out(queue: QueueNow) -> QueueOut:
    return QueueOut(
        name=queue.name,
        waiting=queue.waiting,
        running=queue.running,
        oldest_seconds=None if queue.oldest_age is None else queue.oldest_age.total_seconds(),
        workers=queue.workers,
        paused=None if queue.paused is None else queue.paused.reason,
    )


def _no_such_run(_request: HttpRequest, _error: Exception | type[Exception]) -> HttpResponse:
    return refuse(HTTPStatus.NOT_FOUND, "Task not found")


def _unfit_arguments(_request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    problems = cast("TaskArgumentError", error).problems
    fields = [{"type": "task_argument", "loc": ["body", "arguments", name], "msg": why} for name, why in problems]
    return refuse_fields(fields)

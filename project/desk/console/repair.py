"""Sending, repairing, pausing and pruning; every one is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from project.database.clock import database_now
from project.desk.console.output import Answer
from project.desk.console.read import filter_of
from project.desk.overview import queues_now
from project.tasks import Call, get_task
from project.tasks.errors import ResultTimeout, RunStateError, TaskError, TaskFailed
from project.tasks.models import TaskRun
from project.tasks.repair import operations
from project.tasks.repair.audit import Operator, record
from project.tasks.repair.bulk import start_bulk_retry
from project.tasks.repair.pauses import pause_queue, resume_queue
from project.tasks.sending.cause import Cause
from project.tasks.sending.message import Message
from project.tasks.sending.options import Options
from project.tasks.sending.sending import send_runs
from project.tasks.upkeep.pruning import prune as prune_history


class UsageError(Exception):
    """What was asked for makes no sense."""


def send(options: dict[str, Any]) -> Answer:
    """Send a task and, if asked to, wait for its result."""
    try:
        task = get_task(options["name"])
        call: Call[Any] = Call(task.declaration, task.signature.to_json((), dict(options["arguments"])))
    except TaskError as error:
        raise UsageError(str(error)) from error
    message = _send(call, options)
    data = {"id": str(message.run_id), "task": task.actor_name}
    if options["wait"] is None:
        return Answer(data, [f"Sent {task.actor_name}: {message.run_id}"])
    return _wait(message, options["wait"].total_seconds(), data)


def _send(call: Call[Any], options: dict[str, Any]) -> Message[Any]:
    chosen = Options(delay=options["delay"], queue=options["queue"], cause=Cause(source="command"))
    with transaction.atomic():
        message = send_runs([call], chosen)[0]
        after = {"task": call.task.name, "arguments": call.arguments}
        record("send", target=str(message.run_id), by=_me(), reason=options["reason"], after=after)
    return message


def _wait(message: Message[Any], seconds: float, data: dict[str, Any]) -> Answer:
    try:
        message.result(timeout=seconds)
    except (TaskFailed, ResultTimeout) as error:
        return Answer(data | {"error": str(error)}, [str(error)], is_bad=True)
    result = TaskRun.objects.values_list("result", flat=True).get(id=message.run_id)
    return Answer(data | {"result": result}, [json.dumps(result, ensure_ascii=False, indent=2)])


def retry(options: dict[str, Any]) -> Answer:
    """Try runs again: those named, or all that match."""
    if options["all"]:
        return _retry_all(options)
    if options["arguments"] is not None and len(options["ids"]) > 1:
        raise UsageError("--arguments are those of one run: name one.")
    return _each(options, lambda run_id, **how: operations.retry(run_id, arguments=options["arguments"], **how))


def discard(options: dict[str, Any]) -> Answer:
    """Take dead runs off the list of what needs attention."""
    return _each(options, operations.discard)


def cancel(options: dict[str, Any]) -> Answer:
    """Keep runs from starting, or stop them."""
    return _each(options, operations.cancel)


def pause(options: dict[str, Any]) -> Answer:
    """Start no more runs of a queue."""
    queue = _known_queue(options["queue"])
    resume_at = database_now() + options["for"] if options["for"] else None
    pause_queue(queue, by=_me(), reason=options["reason"], resume_at=resume_at)
    return Answer({"queue": queue, "resume_at": resume_at and resume_at.isoformat()}, [f"Queue {queue} is paused."])


def resume(options: dict[str, Any]) -> Answer:
    """Start runs of a queue again."""
    queue = _known_queue(options["queue"])
    was_paused = resume_queue(queue, by=_me(), reason=options["reason"])
    line = f"Queue {queue} is resumed." if was_paused else f"Queue {queue} was not paused."
    return Answer({"queue": queue, "was_paused": was_paused}, [line])


def prune(options: dict[str, Any]) -> Answer:
    """Delete history that is old enough."""
    succeeded = options["succeeded_days"] if options["succeeded_days"] is not None else settings.HISTORY_DAYS_SUCCEEDED
    others = options["others_days"] if options["others_days"] is not None else settings.HISTORY_DAYS_FAILED
    pruned = prune_history(succeeded_days=succeeded, others_days=others)
    after = pruned.model_dump() | {"succeeded_days": succeeded, "others_days": others}
    record("prune", target="history", by=_me(), reason=options["reason"], after=after)
    return Answer(pruned.model_dump(), [f"Deleted {pruned.runs} runs and {pruned.batches} batches."])


def _retry_all(options: dict[str, Any]) -> Answer:
    if options["ids"] or options["arguments"] is not None:
        raise UsageError("Name runs, or give --all and a filter; not both.")
    share = options["max_error_percent"] / 100
    try:
        bulk = start_bulk_retry(
            filter_of(options), rate=options["rate"], max_error_share=share, by=_me(), reason=options["reason"]
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    return Answer({"bulk_id": str(bulk.id)}, [f"Bulk retry {bulk.id} has begun; a worker or scheduler carries it on."])


def _each(options: dict[str, Any], act: Callable[..., TaskRun]) -> Answer:
    if not options["ids"]:
        raise UsageError("Name at least one run.")
    outcomes = list(_outcomes(options["ids"], act, reason=options["reason"]))
    lines = [f"{each['id']}  {each['state'] or each['error']}" for each in outcomes]
    return Answer(outcomes, lines, is_bad=any(each["error"] for each in outcomes))


def _outcomes(ids: Iterable[UUID], act: Callable[..., TaskRun], *, reason: str) -> Iterable[dict[str, Any]]:
    for run_id in ids:
        try:
            run = act(run_id, by=_me(), reason=reason)
        except TaskRun.DoesNotExist:
            yield {"id": str(run_id), "state": None, "error": "There is no such run."}
        except TaskError as error:
            yield {"id": str(run_id), "state": None, "error": str(error)}
        else:
            asked = " (asked to stop)" if run.cancel_requested else ""
            yield {"id": str(run_id), "state": f"{run.state}{asked}", "error": None}


def _known_queue(name: str) -> str:
    known = [queue.name for queue in queues_now()]
    if name not in known:
        raise RunStateError(f"There is no queue {name!r}; there are {', '.join(known)}.")
    return name


def _me() -> Operator:
    return Operator.at_the_command_line()

"""Looking at runs, queues and workers."""

from __future__ import annotations

import json
from typing import Any

from django.utils import timezone

from project.desk.console.output import Answer, facts, table
from project.desk.facts import run_causes, run_facts
from project.desk.overview import QueueNow, living_workers, queues_now
from project.desk.schemas import RunDetails, RunOut, WorkerOut
from project.desk.why import explain
from project.tasks.models import TaskRun
from project.tasks.repair.filters import RunFilter
from project.tasks.repair.stored_calls import misfits
from project.values.text import error_text, from_now, roughly, took, utc

#: The filters that are times; on the command line they are ages.
TIMES = ("since", "until", "ended_before")
#: Characters of an error that the list shows: a line of it should fit on a wide screen.
_MOST_OF_AN_ERROR = 60


def filter_of(options: dict[str, Any]) -> RunFilter:
    """Make the filter that options on the command line name."""
    given = {name: options[name] for name in RunFilter.model_fields if options[name] is not None}
    return RunFilter(**{name: timezone.now() - value if name in TIMES else value for name, value in given.items()})


def list_runs(options: dict[str, Any]) -> Answer:
    """List runs, newest first."""
    which = filter_of(options)
    large = ("arguments", "result", "traceback", "next_steps")
    columns = TaskRun.objects.defer(*large if not options["json"] else ())
    runs = list(which.newest(options["limit"], runs=columns))
    lines = table([_row(run) for run in runs], empty="No run matches.")
    return Answer([_dump(RunOut, run) for run in runs], lines)


def show_run(options: dict[str, Any]) -> Answer:
    """Show everything about one run."""
    run = TaskRun.objects.select_related("user").get(id=options["id"])
    lines = facts(_facts(run))
    for attempt in run.failed_attempts.order_by("number"):
        where = f" on {attempt.worker}" if attempt.worker else ""
        lines += ["", f"Attempt {attempt.number} failed at {utc(attempt.finished_at)}{where}:"]
        lines += [f"  {line}" for line in (attempt.traceback or attempt.error).splitlines()]
    return Answer(_dump(RunDetails, run), lines)


def why(options: dict[str, Any]) -> Answer:
    """Say why a run is not running."""
    run = TaskRun.objects.get(id=options["id"])
    reasons = explain(run)
    data = {"id": str(run.id), "state": run.state, "reasons": [vars(reason) for reason in reasons]}
    return Answer(data, [reason.text for reason in reasons])


def list_queues(_options: dict[str, Any]) -> Answer:
    """List queues and what is in them."""
    ages = [(_queue_row(queue), queue.oldest_age) for queue in queues_now()]
    rows = [row | {"oldest": roughly(age)} for row, age in ages]
    data = [row | {"oldest_seconds": age.total_seconds() if age else None} for row, age in ages]
    return Answer(data, table(rows, empty="There is no queue."))


def list_workers(_options: dict[str, Any]) -> Answer:
    """List living processes; none is a finding."""
    workers = list(living_workers())
    rows = [
        {
            "process": str(worker),
            "kind": worker.kind,
            "queues": ",".join(worker.queues),
            "threads": worker.threads,
            "started": from_now(worker.started_at),
            "beat": from_now(worker.beat_at),
        }
        for worker in workers
    ]
    lines = table(rows, empty="No worker and no scheduler lives.")
    return Answer([_dump(WorkerOut, worker) for worker in workers], lines, is_bad=not workers)


def check(_options: dict[str, Any]) -> Answer:
    """Tell whether the code of this checkout can execute everything that is stored; what it cannot is a finding."""
    found = [{"where": call.where, "task": call.task, "reason": reason} for call, reason in misfits()]
    lines = [f"{each['where']}: {each['reason']}" for each in found]
    return Answer(found, lines or ["Everything that is stored fits this code."], is_bad=bool(found))


def _row(run: TaskRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state,
        "task": run.task,
        "queue": run.queue,
        "sent": from_now(run.created_at),
        "took": took(run.duration),
        "attempts": run.attempts,
        "error": error_text(run.error_type, run.error).replace("\n", " ")[:_MOST_OF_AN_ERROR],
    }


def _facts(run: TaskRun) -> dict[str, Any]:
    named = {
        "id": run.id,
        "task": run.task,
        "state": run.state,
        "arguments": json.dumps(run.arguments, ensure_ascii=False),
        "result": json.dumps(run.result, ensure_ascii=False) if run.state == TaskRun.State.SUCCEEDED else None,
        "error": error_text(run.error_type, run.error),
        "progress": f"{run.progress:.0%} {run.progress_note}".strip() if run.progress is not None else None,
    }
    times = {name: getattr(run, f"{name}_at") for name in ("created", "published", "started", "finished")}
    return named | run_facts(run) | {name: utc(at) for name, at in times.items() if at} | run_causes(run)


def _queue_row(queue: QueueNow) -> dict[str, Any]:
    state = "open" if not queue.is_unattended else "no worker"
    return {
        "queue": queue.name,
        "waiting": queue.waiting,
        "later": queue.later,
        "running": queue.running,
        "workers": queue.workers,
        "state": f"paused by {queue.paused.paused_by}: {queue.paused.reason}" if queue.paused else state,
    }


def _dump(schema: Any, row: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = schema.from_orm(row).model_dump(mode="json")
    return dumped

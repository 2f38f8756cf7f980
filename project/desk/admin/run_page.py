"""What a run's page shows: its story, its cause, and what may be done about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from project.desk.admin.elements import instant, moment, run_link, state_badge
from project.desk.admin.read_only import may_repair
from project.desk.admin.repair import REPAIRS
from project.desk.facts import run_causes, run_facts
from project.desk.why import explain
from project.tasks.models import OperatorAction, TaskAttempt, TaskRun

#: How many children and actions the page lists.
MOST_LISTED = 50


@dataclass(frozen=True)
class Step:
    """One moment in a run's life.

    Args:
        at: When.
        what: What happened then.
        details: More about it.
    """

    at: datetime
    what: str
    details: str = ""


def run_context(request: HttpRequest, run: TaskRun) -> dict[str, Any]:
    """Return what the page shows, from the same number of queries whatever the run has been through."""
    attempts = list(run.failed_attempts.order_by("number"))
    actions = list(OperatorAction.objects.filter(target=str(run.id))[:MOST_LISTED])
    children = list(TaskRun.objects.filter(parent_id=run.id).only("id", "task", "state", "created_at")[:MOST_LISTED])
    return {
        "key": run.id,
        "run": run,
        "badge": state_badge(run.state),
        "is_unfinished": run.state in TaskRun.UNFINISHED,
        "percent": None if run.progress is None else round(run.progress * 100),
        "reasons": explain(run) if run.state in TaskRun.UNFINISHED else [],
        "arguments": _pretty(run.arguments),
        "result": _pretty(run.result) if run.state == TaskRun.State.SUCCEEDED else None,
        "facts": _titled(_facts(run)),
        "causes": _titled(_causes(run)),
        "children": children,
        "attempts": attempts,
        "steps": [(instant(step.at), step) for step in _story(run, attempts, actions)],
        "repairs": [each for each in REPAIRS.values() if run.state in each.states] if may_repair(request) else [],
    }


def _facts(run: TaskRun) -> dict[str, Any]:
    return run_facts(run) | {"expires": moment(run.expires_at) if run.expires_at else None}


def _causes(run: TaskRun) -> dict[str, Any]:
    return run_causes(run) | {
        "sent by run": run_link(run.parent_id) if run.parent_id else None,
        "batch": _link("taskbatch", run.batch_id, run.batch) if run.batch_id else None,
        "bulk retry": _link("bulkretry", run.bulk_id, run.bulk_id) if run.bulk_id else None,
    }


def _titled(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name.capitalize(), value) for name, value in facts.items() if value]


def _link(model: str, key: Any, text: Any) -> str:
    return format_html('<a href="{}">{}</a>', reverse(f"admin:tasks_{model}_change", args=[key]), text)


def _story(run: TaskRun, attempts: list[TaskAttempt], actions: list[OperatorAction]) -> list[Step]:
    """Return the steps in the order in which they followed from each other.

    Their times alone do not tell it: several processes noted them, each by its own clock, some a moment afterwards.
    """
    asked = {action.action: action.at for action in reversed(actions)}
    # What falls together stays in this order.
    placed = [(run.created_at, Step(run.created_at, "sent", f"by {run.schedule or run.user or run.source}"))]
    for action in actions:
        step = Step(action.at, action.action, f"by {action.who}{': ' if action.reason else ''}{action.reason}")
        placed.append((max(action.at, run.created_at), step))
    if run.published_at:
        at = max(run.published_at, run.created_at, asked.get("retry", run.created_at))
        placed.append((at, Step(run.published_at, "published", f"to queue {run.queue}")))
    latest = run.created_at
    for step in _attempts(run, attempts):
        latest = max(latest, step.at)
        placed.append((latest, step))
    placed += [(max(latest, asked.get("cancel", latest)), step) for step in _end(run)]
    story = [step for _, step in sorted(placed, key=lambda each: each[0])]
    return [*story, *_next(run)]


def _attempts(run: TaskRun, attempts: list[TaskAttempt]) -> Iterator[Step]:
    for attempt in attempts:
        if attempt.started_at:
            yield Step(attempt.started_at, f"attempt {attempt.number} started", attempt.worker)
        yield Step(attempt.finished_at, f"attempt {attempt.number} failed", attempt.error_type)
    if run.started_at and run.attempts not in {attempt.number for attempt in attempts}:
        yield Step(run.started_at, f"attempt {run.attempts} started")


def _end(run: TaskRun) -> Iterator[Step]:
    if run.state not in TaskRun.UNFINISHED and run.finished_at:
        # When it was discarded is told by who did it.
        what = TaskRun.State.DEAD if run.state == TaskRun.State.DISCARDED else run.state
        yield Step(run.finished_at, what, run.error_type)


def _next(run: TaskRun) -> Iterator[Step]:
    if run.state in TaskRun.WAITING and run.run_after > run.created_at:
        yield Step(run.run_after, "next attempt" if run.attempts else "may start")


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)

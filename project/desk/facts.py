"""The facts about a run that its page and `manage.py tasks show` have in common, by their names."""

from __future__ import annotations

from typing import Any

from project.tasks.models import TaskRun, Worker
from project.tasks.sending.slots import policy_of
from project.values.text import took, utc


def run_facts(run: TaskRun) -> dict[str, Any]:
    """Return where a run goes and how often it was tried; None stands for a fact that it does not have."""
    return {
        "queue": run.queue,
        "priority": str(run.priority),
        "attempts": f"{run.attempts} ({run.failures} failed, {run.deaths} ended with their worker)",
        "took": took(run.duration) if run.duration is not None else None,
        "worker": _worker(run) if run.state == TaskRun.State.RUNNING else None,
        "expires": utc(run.expires_at) if run.expires_at else None,
        "unique key": run.unique_key,
        "limit": _limit(run),
        "kind of failure": run.fingerprint if run.error_type else None,
    }


def run_causes(run: TaskRun) -> dict[str, Any]:
    """Return who or what sent a run, and what it belongs to; None stands for what does not apply."""
    return {
        "sent by": run.source,
        "user": run.user,
        "request": run.request_id or None,
        "schedule": run.schedule or None,
        "sent by run": run.parent_id,
        "batch": run.batch_id,
        "bulk retry": run.bulk_id,
    }


def _limit(run: TaskRun) -> str | None:
    """Say how many runs may be under way or start under a run's limit, and by which key that is counted."""
    policy = policy_of(run.limit_key) if run.limit_key else None
    if policy is None or not policy.is_limited:
        return run.limit_key or None
    at_once = f"{policy.max_concurrency} at once" if policy.max_concurrency else ""
    return f"{', '.join(filter(None, (at_once, policy.rate_limit)))}, counted by {run.limit_key}"


def _worker(run: TaskRun) -> str | None:
    if run.worker_id is None:
        return None
    return str(Worker.objects.filter(id=run.worker_id).first() or f"{run.worker_id}, which is gone")

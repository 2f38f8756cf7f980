"""Keeps a run from starting, or has it stop: what operators and code that holds a message do alike."""

from __future__ import annotations

from functools import partial

from django.db import transaction

from project.database.clock import database_now
from project.tasks.errors import RunStateError
from project.tasks.models import TaskRun
from project.tasks.sending.outbox import admit


def cancel_locked(run: TaskRun) -> None:
    """Keep a waiting run from starting, or have TaskCancelled raised in a running one.

    Args:
        run: The run; the caller has locked its row.

    Raises:
        RunStateError: If it has ended.
    """
    if run.state not in TaskRun.UNFINISHED:
        allowed = ", ".join(TaskRun.UNFINISHED)
        raise RunStateError(f"Run {run.id} is {run.state}: only {allowed} runs can be cancelled.")
    if run.state == TaskRun.State.RUNNING:
        run.cancel_requested = True
    else:
        run.state, run.finished_at = TaskRun.State.CANCELLED, database_now()
    run.save(update_fields=["state", "cancel_requested", "finished_at"])
    if run.limit_key:
        transaction.on_commit(partial(admit, run.limit_key), robust=True)

"""What is sent because something else has ended: the callback of a batch, the next step of a chain.

No caller is there to handle an error, and the end of the run or batch must be recorded in any case. So a call that
cannot be sent becomes a dead run, which says why and can be retried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from django.contrib.auth import get_user_model
from django.db import Error as DatabaseError
from django.db.models.functions import Now

from project.tasks.declaration import declaration_of
from project.tasks.errors import TaskArgumentError, UnknownTaskError
from project.tasks.models import TaskRun
from project.tasks.sending.cause import current_cause
from project.tasks.sending.sending import send_stored
from project.values.described import describe
from project.values.text import error_text

log = structlog.get_logger(__name__)

#: In characters, as the column has them.
_LONGEST_NAME = 100


def send_next_step(steps: Sequence[dict[str, Any]], result: Any) -> None:
    """Send what follows a step of a chain that has just succeeded, in the surrounding transaction.

    Args:
        steps: What follows it; the first one is sent, and takes the others along.
        result: The result of the step that succeeded, as a JSON value.

    Raises:
        django.db.Error: If the database refuses the row; the transaction is broken then.
    """
    step, *later = steps
    send_or_insert_dead(
        step["task"],
        _arguments(step, result),
        run_id=UUID(step["id"]),
        queue=step.get("queue", "default"),
        next_steps=later,
    )


def _arguments(step: dict[str, Any], result: Any) -> dict[str, Any]:
    """Name the argument: as this checkout does or, if it does not know better, as the one that sent the chain did."""
    try:
        return declaration_of(step["task"]).signature.named([result], {})
    except (UnknownTaskError, TaskArgumentError):
        return {step.get("parameter", "result"): result}


def send_or_insert_dead(
    name: str, arguments: Mapping[str, Any], *, run_id: UUID, queue: str = "default", **columns: Any
) -> UUID:
    """Send a stored call in the surrounding transaction; if it cannot be sent, insert a dead run that says why.

    Args:
        name: The task's name.
        arguments: Its arguments by name, as JSON values.
        run_id: The run's id.
        queue: Where it waits if this checkout cannot tell.
        columns: More columns of the row.

    Raises:
        django.db.Error: If the database refuses the row; the transaction is broken then.
    """
    try:
        return send_stored(name, arguments, run_id=run_id, queue=queue, **columns)
    except DatabaseError:
        raise
    except Exception as error:
        log.exception("call_not_sent", task=name, run_id=str(run_id), cure="correct the task, then retry the run")
        insert_dead(name, error, arguments=arguments, run_id=run_id, **columns)
        return run_id


def insert_dead(name: str, error: Exception, *, arguments: Mapping[str, Any], run_id: UUID, **columns: Any) -> None:
    """Insert a dead run in the place of one that could not be sent.

    Args:
        name: The task's name.
        error: Why.
        arguments: Its arguments by name, as JSON values, as far as they are known.
        run_id: The run's id.
        columns: More columns of the row.
    """
    cause, described = current_cause(), describe(error, task=name)
    TaskRun.objects.create(
        id=run_id,
        task=name[:_LONGEST_NAME],
        queue="default",
        arguments=dict(arguments),
        state=TaskRun.State.DEAD,
        error_type=described.error_type,
        error=f"It could not be sent: {error_text(described.error_type, described.error)}",
        traceback=described.traceback,
        fingerprint=described.fingerprint,
        finished_at=Now(),
        source=cause.source,
        user=get_user_model().objects.filter(pk=cause.user_id or 0).first(),
        request_id=cause.request_id,
        parent_id=cause.parent_id,
        **columns,
    )

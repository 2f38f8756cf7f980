"""Sends the callback of each batch whose members have all ended."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from pydantic import BaseModel, ValidationError

from project.database.one_by_one import one_by_one
from project.tasks.batches import Batch
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.sending.callbacks import insert_dead, send_or_insert_dead
from project.tasks.sending.cause import Cause, caused_by
from project.values.ids import uuid7

#: Stands for the name of a task that cannot be read.
_UNREADABLE = "(unreadable callback)"


class _StoredCall(BaseModel):
    """A callback as the batch's row has it, which may have been written by another release."""

    task: str
    arguments: dict[str, Any] = {}
    queue: str = "default"
    user_id: int | None = None
    request_id: str = ""


def settle_batches() -> int:
    """Send the callback of each batch whose members have all ended; return how many.

    The batch's row is locked, marked and its callback's row inserted in one transaction: exactly one callback
    however many processes do this. A callback that cannot be sent is a dead run.

    Raises:
        ExceptionGroup: If some batches could not be settled; the others are.
    """
    members = TaskRun.objects.filter(batch=OuterRef("id"))
    ended = TaskBatch.objects.filter(finished_at=None).exclude(Exists(members.filter(state__in=TaskRun.UNFINISHED)))
    return one_by_one("batch", list(ended.values_list("id", flat=True)[:100]), _settle)


def _settle(batch_id: UUID) -> bool:
    with transaction.atomic():
        batch = TaskBatch.objects.select_for_update(skip_locked=True).filter(id=batch_id, finished_at=None).first()
        if batch is None:
            return False
        batch.callback_id = _send_callback(batch)
        TaskBatch.objects.filter(id=batch_id).update(finished_at=Now(), callback_id=batch.callback_id)
    return True


def _send_callback(batch: TaskBatch) -> UUID | None:
    failed = Batch(batch.id).progress().failed
    stored = batch.on_failure if failed and batch.on_failure else batch.then
    if stored is None:
        return None
    run_id = uuid7()
    try:
        call = _StoredCall.model_validate(stored)
    except ValidationError as error:
        insert_dead(_UNREADABLE, error, arguments={}, run_id=run_id)
        return run_id
    cause = Cause(source="task", user_id=call.user_id, request_id=call.request_id)
    with caused_by(cause):
        try:
            with transaction.atomic():
                return send_or_insert_dead(call.task, call.arguments, run_id=run_id, queue=call.queue)
        except (OperationalError, InterfaceError):
            raise  # the database's trouble, which passes
        except DatabaseError as error:
            insert_dead(call.task, error, arguments=call.arguments, run_id=run_id)
    return run_id

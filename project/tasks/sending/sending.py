"""Sending: validated calls become rows in the caller's transaction, published when it commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from project.broker.outgoing import make_message
from project.broker.service import broker
from project.tasks.declaration import Call, declaration_of
from project.tasks.errors import BlockingSend, TaskArgumentError, UnknownTaskError
from project.tasks.models import TaskRun
from project.tasks.sending.cause import Cause, current_cause
from project.tasks.sending.expiry import LAST_START, last_starts
from project.tasks.sending.in_task import is_on_event_loop
from project.tasks.sending.insert import NewRun, insert_runs, insert_unless_unfinished
from project.tasks.sending.message import Message
from project.tasks.sending.options import Options
from project.tasks.sending.outbox import parts_of_message, publish_on_commit
from project.values.ids import uuid7s

_NO_TIME = timedelta(0)


def send_runs(
    calls: Sequence[Call[Any]],
    options: Options,
    *,
    or_wait: bool = False,
    ids: Sequence[UUID] | None = None,
    **columns: Any,
) -> list[Message[Any]]:
    """Send calls, of one or several tasks; those of tasks that are not durable go straight to the broker.

    Args:
        calls: Validated calls.
        options: How this send differs from the tasks' policies.
        or_wait: Have a run wait until its unique key is free; otherwise the unfinished run that has the key stands
            in for it.
        ids: The runs' ids, by default new ones.
        columns: More columns of the rows, the same for each.

    Raises:
        ValueError: If the options or the calls cannot go together.
        IntegrityError: If the run id of the options exists.
        BlockingSend: If a coroutine would wait for the database.
    """
    if calls and calls[0].task.durable and is_on_event_loop():
        raise BlockingSend(calls[0].task.name)
    if options.run_id is not None and len(calls) != 1:
        raise ValueError("A run id names one run: send one call.")
    if all(call.task.durable for call in calls):
        cause = options.cause or current_cause()
        rows = [
            _row(call, options, id=run_id, cause=cause, **columns)
            for call, run_id in zip(calls, ids or _new_ids(calls, options), strict=True)
        ]
        return [_message_of(run) for run in _keep(rows, or_wait=or_wait)]
    if any(call.task.durable for call in calls):
        raise ValueError("Send durable and other tasks apart: only durable ones share the transaction.")
    return _send_fast(calls, options)


def send_stored(
    name: str, arguments: Mapping[str, Any], *, run_id: UUID, queue: str = "default", **columns: Any
) -> UUID:
    """Send a call that was stored, in a checkout that need not be the one that stored it.

    A task that this checkout does not know, or does not know like this, is sent as it was stored: its run waits for
    a worker that does.

    Args:
        name: The task's name.
        arguments: Its arguments by name, as JSON values.
        run_id: The run's id.
        queue: Where it waits if this checkout cannot tell.
        columns: More columns of the row.
    """
    try:
        task = declaration_of(name)
        call: Call[Any] = Call(task, task.signature.to_json((), arguments))
    except (UnknownTaskError, TaskArgumentError):
        row = _row_as_stored(name, arguments, id=run_id, queue=queue, cause=current_cause(), **columns)
    else:
        row = _row(call, Options(), id=run_id, cause=current_cause(), **columns)
    return _keep([row], or_wait=True)[0].id


def _keep(runs: list[NewRun], *, or_wait: bool) -> Sequence[NewRun | TaskRun]:
    """Insert the rows and return them, the unfinished run in the place of each that must be unique and is not."""
    if all(run.unique_key is None for run in runs):
        insert_runs(runs)
        publish_on_commit([run for run in runs if run.state == TaskRun.State.QUEUED or run.limit_key])
        return runs
    with transaction.atomic(savepoint=False):
        return [_keep_unique(run, or_wait=or_wait) for run in runs]


def _keep_unique(run: NewRun, *, or_wait: bool) -> NewRun | TaskRun:
    if run.unique_key is None:
        return _keep([run], or_wait=or_wait)[0]
    while not insert_unless_unfinished(run):
        unfinished = TaskRun.objects.filter(unique_key=run.unique_key, state__in=TaskRun.UNFINISHED).first()
        # One that was told to stop does not do what is asked for now.
        if or_wait or (unfinished is not None and unfinished.cancel_requested):
            run.unique_key, run.waits_for_key, run.state = None, run.unique_key, TaskRun.State.PENDING
            return _keep([run], or_wait=or_wait)[0]
        # It may have ended between the two statements; then there is room for this one.
        if unfinished is not None:
            return unfinished
    publish_on_commit([run] if run.state == TaskRun.State.QUEUED or run.limit_key else [])
    return run


def _row(call: Call[Any], options: Options, *, cause: Cause, **columns: Any) -> NewRun:
    task = call.task
    delay = max(options.delay or _NO_TIME, _NO_TIME)
    expires = task.policy.expires if options.expires is None else options.expires
    limit_key = task.limit_key(call.arguments)
    row = _new_run(
        task=task.name,
        queue=options.queue or task.queue,
        priority=task.priority if options.priority is None else options.priority,
        arguments=call.arguments,
        state=TaskRun.State.PENDING if delay or limit_key else TaskRun.State.QUEUED,
        delay=delay,
        eta=options.eta,
        expires_in=expires if isinstance(expires, timedelta) else None,
        expires_at=expires if isinstance(expires, datetime) else None,
        unique_key=task.policy.unique_key(task.name, call.arguments),
        limit_key=limit_key,
        cause=cause,
        **columns,
    )
    row.message = make_message(Message, **parts_of_message(row))
    return row


def _message_of(run: NewRun | TaskRun) -> Message[Any]:
    made = run.message if isinstance(run, NewRun) else None
    return made if isinstance(made, Message) else Message(**parts_of_message(run))


def _new_ids(calls: Sequence[Call[Any]], options: Options) -> Sequence[UUID]:
    return uuid7s(len(calls)) if options.run_id is None else [options.run_id]


def _row_as_stored(name: str, arguments: Mapping[str, Any], **columns: Any) -> NewRun:
    return _new_run(
        task=name,
        priority=0,
        arguments=dict(arguments),
        state=TaskRun.State.QUEUED,
        delay=_NO_TIME,
        eta=None,
        expires_in=None,
        expires_at=None,
        unique_key=None,
        **columns,
    )


def _new_run(*, cause: Cause, **columns: Any) -> NewRun:
    return NewRun(
        source=cause.source,
        user_id=cause.user_id,
        request_id=cause.request_id,
        schedule=cause.schedule,
        parent_id=cause.parent_id,
        **columns,
    )


def _send_fast(calls: Sequence[Call[Any]], options: Options) -> list[Message[Any]]:
    delay = options.delay or (options.eta - timezone.now() if options.eta else _NO_TIME)
    messages = [
        _fast_message(call, options, until=end, message_id=str(run_id))
        for call, end, run_id in zip(calls, last_starts(calls, options), _new_ids(calls, options), strict=True)
    ]
    if delay <= _NO_TIME:
        broker().enqueue_many(messages)
    for message in messages if delay > _NO_TIME else []:
        broker().enqueue(message, delay=int(delay.total_seconds() * 1000))
    return messages


def _fast_message(call: Call[Any], options: Options, *, until: int | None, message_id: str) -> Message[Any]:
    told: dict[str, Any] = {}
    if priority := call.task.priority if options.priority is None else options.priority:
        told["priority"] = priority
    if until is not None:
        told[LAST_START] = until
    return make_message(
        Message,
        queue_name=options.queue or call.task.queue,
        actor_name=call.task.name,
        args=(),
        kwargs=dict(call.arguments),
        options=told,
        message_id=message_id,
    )

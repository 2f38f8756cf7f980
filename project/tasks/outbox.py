"""From a send to the broker: the row in the caller's transaction, the message on commit, leftovers by the relay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import redis
import structlog
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from dramatiq.broker import get_broker
from dramatiq.errors import BrokerConnectionError

from project.tasks.cause import current_cause
from project.tasks.ids import uuid7
from project.tasks.message import Message
from project.tasks.models import TaskRun

if TYPE_CHECKING:
    from project.tasks.broker import ServiceBroker
    from project.tasks.task import Call, Options

log = structlog.get_logger(__name__)

#: How many rows one INSERT, and one relay transaction, covers.
BATCH = 1000
#: The relay leaves a new row to its sender for this long.
GRACE = timedelta(seconds=1)
#: What the broker raises when it cannot be reached.
BROKER_ERRORS = (redis.RedisError, BrokerConnectionError)


class Publication:
    """Runs that are published together once their transaction has committed."""

    def __init__(self, runs: Sequence[TaskRun]) -> None:
        self.runs = list(runs)

    def __call__(self) -> None:
        """Publish them; what the broker cannot take now is left to the relay."""
        try:
            publish(self.runs)
        except BROKER_ERRORS as error:
            log.warning("publish_failed", runs=len(self.runs), error=str(error), cure="the relay will publish them")


def send_runs(calls: Sequence[Call[Any]], options: Options) -> list[Message[Any]]:
    """Insert a row for each call and publish them on commit; a task that is not durable goes straight out.

    Args:
        calls: Validated calls, of one or several tasks.
        options: The options of this send.

    Raises:
        ValueError: If one run id is given for several calls.
    """
    if options.run_id is not None and len(calls) != 1:
        raise ValueError("A run id names one run: send one call.")
    durable = [call for call in calls if call.task.durable]
    if len(durable) < len(calls):
        return _send_fast(calls, options)
    runs = [_row(call, options) for call in calls]
    TaskRun.objects.bulk_create(runs, batch_size=BATCH)
    _publish_on_commit(runs)
    return [message_of(run) for run in runs]


def message_of(run: TaskRun) -> Message[Any]:
    """Build the message of a run's next attempt.

    The broker's own id is derived from the run and the attempt, so that publishing one attempt twice
    stores one payload, and the broker can be asked whether it still holds it.
    """
    return Message(
        queue_name=run.queue,
        actor_name=run.task,
        args=(),
        kwargs=run.arguments,
        options={"redis_message_id": redis_message_id(run), "attempt": run.attempts},
        message_id=str(run.id),
        message_timestamp=int(run.created_at.timestamp() * 1000),
    )


def redis_message_id(run: TaskRun) -> str:
    """Return the id under which the broker holds the message of a run's next attempt."""
    return f"{run.id}:{run.attempts}"


def publish(runs: Sequence[TaskRun]) -> None:
    """Hand the runs' messages to the broker and note that on their rows.

    Raises:
        redis.RedisError: If the broker cannot be reached; the rows stay as they were.
    """
    now = timezone.now()
    ready = [run for run in runs if run.run_after <= now]
    if not ready:
        return
    broker().enqueue_many([message_of(run) for run in ready])
    TaskRun.objects.filter(
        id__in=[run.id for run in ready], state__in=(TaskRun.State.PENDING, TaskRun.State.RETRYING)
    ).update(state=TaskRun.State.QUEUED, published_at=now)


def relay_once(*, limit: int = BATCH) -> int:
    """Publish rows that are due and whose sender did not; return how many.

    Raises:
        redis.RedisError: If the broker cannot be reached.
    """
    with transaction.atomic():
        runs = list(
            TaskRun.objects.select_for_update(skip_locked=True)
            .filter(state__in=(TaskRun.State.PENDING, TaskRun.State.RETRYING), run_after__lte=Now())
            .filter(Q(run_after__gt=F("created_at")) | Q(created_at__lte=Now() - GRACE))
            .order_by("run_after")[:limit]
        )
        publish(runs)
    return len(runs)


def expire_once() -> int:
    """Expire runs that were not started in time; return how many."""
    return TaskRun.objects.filter(state__in=TaskRun.WAITING, expires_at__lte=Now()).update(
        state=TaskRun.State.EXPIRED, finished_at=Now(), error="It was not started before it expired."
    )


def broker() -> ServiceBroker:
    """Return the service's broker."""
    return cast("ServiceBroker", get_broker())


def _row(call: Call[Any], options: Options) -> TaskRun:
    now, task, cause = timezone.now(), call.task, options.cause or current_cause()
    return TaskRun(
        id=options.run_id or uuid7(),
        task=task.actor_name,
        queue=options.queue or task.queue_name,
        priority=task.priority if options.priority is None else options.priority,
        arguments=dict(call.arguments),
        created_at=now,
        run_after=_run_after(options, now=now),
        expires_at=_expires_at(options.expires or task.policy.expires, now=now),
        source=cause.source,
        user_id=cause.user_id,
        request_id=cause.request_id,
        schedule=cause.schedule,
        parent_id=cause.parent_id,
    )


def _run_after(options: Options, *, now: datetime) -> datetime:
    if options.eta is not None:
        return options.eta
    return now + (options.delay or timedelta(0))


def _expires_at(expires: timedelta | datetime | None, *, now: datetime) -> datetime | None:
    return now + expires if isinstance(expires, timedelta) else expires


def _publish_on_commit(runs: Sequence[TaskRun]) -> None:
    # Sends in one transaction share one publication, so that a loop of sends is one pipeline.
    registered = connection.run_on_commit
    if registered and isinstance(registered[-1][1], Publication) and registered[-1][0] == set(connection.savepoint_ids):
        registered[-1][1].runs.extend(runs)
    else:
        transaction.on_commit(Publication(runs))


def _send_fast(calls: Sequence[Call[Any]], options: Options) -> list[Message[Any]]:
    if any(call.task.durable for call in calls):
        raise ValueError("Send durable and other tasks apart: only durable ones share the transaction.")
    now = timezone.now()
    messages: list[Message[Any]] = [
        Message(
            queue_name=options.queue or call.task.queue_name,
            actor_name=call.task.actor_name,
            args=(),
            kwargs=dict(call.arguments),
            options={},
        )
        for call in calls
    ]
    delay = _run_after(options, now=now) - now
    if delay <= timedelta(0):
        broker().enqueue_many(messages)
    else:
        for message in messages:
            broker().enqueue(message, delay=int(delay.total_seconds() * 1000))
    return messages

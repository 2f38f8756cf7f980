"""From the rows to the broker: published on commit, and by the relay where that did not work out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from dramatiq import Message

from project.broker.outgoing import make_message
from project.broker.service import BROKER_ERRORS, broker
from project.database.locks import unlocked
from project.tasks.models import TaskRun
from project.tasks.sending.due_queues import due_queues
from project.tasks.sending.insert import NewRun
from project.tasks.sending.last_chances import broker_queue
from project.tasks.sending.looks import look_soon, must_plan, plan_look, planned_looks, walk
from project.tasks.sending.slots import has_room, take_slots
from project.tasks.sending.starts import lock_limit
from project.tasks.sending.unique import admit_waiting

log = structlog.get_logger(__name__)

#: How many rows one transaction of the relay or of expiry changes: enough to be fast, few enough to hold locks briefly.
ROWS_AT_ONCE = 1000
#: The relay leaves a new row to its sender for this long: a sender publishes within milliseconds of its commit.
SENDER_FIRST = timedelta(seconds=1)
#: How long a sender looks at the limits of what it has sent, at 6 ms each: a batch with a key for each of 100,000
#: people would keep it for ten minutes. The workers look at those that are left.
SENDER_LOOKS_FOR = timedelta(seconds=1)


def publish_on_commit(runs: Sequence[NewRun | TaskRun]) -> None:
    """Publish rows, inserted as queued, once the caller's transaction has committed.

    They are inserted as queued so that no second write is needed in the usual case. If the process dies before
    it has published them, `upkeep/reconcile.py` finds that the broker does not hold their messages.
    """
    if runs:
        _on_commit(runs, _publish_now)


def _publish_now(runs: Sequence[NewRun | TaskRun]) -> None:
    """Publish runs, or of those that wait for a slot as many as have one."""
    waiting = {id(run) for run in runs if run.limit_key and run.state == TaskRun.State.PENDING}
    _hand_over([run for run in runs if id(run) not in waiting])
    until, left = time.monotonic() + SENDER_LOOKS_FOR.total_seconds(), set()
    for key, queue in {(run.limit_key, run.queue) for run in runs if id(run) in waiting}:
        if time.monotonic() >= until:
            left.add(key)
        elif has_room(key, queue=queue) or must_plan(key):
            admit(key, have_waited=False)
    look_soon(left)


def admit(key: str, *, have_waited: bool = True) -> None:
    """Publish as many of the runs that wait for a limit as may start, in the order in which they are due.

    Args:
        key: The name of the limit.
        have_waited: Let them overtake what waits in the queue: it was sent after them.

    Raises:
        django.db.Error: If the database does not answer.
    """
    with transaction.atomic():
        lock_limit(key)
        runs = take_slots(key)
        plan_look(key)
        if runs:
            _on_commit(runs, partial(_hand_over, at_front=have_waited))


def fill_slots() -> None:
    """Publish runs that have waited for a unique key or a limit, as far as there is room for them."""
    admit_waiting()
    for key in planned_looks():
        admit(key)
    for key in walk.with_room():
        admit(key)


def awaits_commit(run_id: UUID) -> bool:
    """Tell whether a run was sent in the current transaction, so that no worker can see it yet."""
    publications = [hook[1] for hook in connection.run_on_commit if isinstance(hook[1], _Publication)]
    return any(run.id == run_id for publication in publications for run in publication.runs)


@dataclass
class _Publication:
    """Runs that are published together once their transaction has committed."""

    runs: list[NewRun | TaskRun]
    publish: Callable[[Sequence[NewRun | TaskRun]], None]

    def __call__(self) -> None:
        """Publish them."""
        self.publish(self.runs)


def _on_commit(runs: Sequence[NewRun | TaskRun], publish: Callable[[Sequence[NewRun | TaskRun]], None]) -> None:
    """Call `publish` with the runs after the commit.

    Sends in one transaction share one publication, so that a loop of sends is one pipeline.
    """
    registered = connection.run_on_commit
    last = registered[-1] if registered else None
    if last and isinstance(last[1], _Publication) and last[0] == set(connection.savepoint_ids):
        last[1].runs.extend(runs)
    else:
        # Robust: the transaction is committed, so the sender must not be told that it failed.
        transaction.on_commit(_Publication(list(runs), publish), robust=True)


def _hand_over(runs: Sequence[NewRun | TaskRun], *, at_front: bool = False) -> None:
    """Publish runs; what the broker cannot take is left to the relay."""
    if not runs:
        return
    try:
        broker().enqueue_many([message_of(run, at_front=at_front) for run in runs])
    except BROKER_ERRORS as error:
        queued = TaskRun.objects.filter(id__in=[run.id for run in runs], state=TaskRun.State.QUEUED)
        with transaction.atomic():
            unlocked(queued).update(state=TaskRun.State.PENDING, published_at=None)
        log.warning("publish_failed", runs=len(runs), error=str(error), cure="the relay will publish them")


def message_of(run: NewRun | TaskRun, *, at_front: bool = False) -> Message[Any]:
    """Return the message of a run's next attempt.

    Args:
        run: The run.
        at_front: Let it overtake what waits in the broker's queue; what had started when its worker died always does.
    """
    made = run.message if isinstance(run, NewRun) and not at_front else None
    return made or make_message(Message, **parts_of_message(run, at_front=at_front))


def parts_of_message(run: NewRun | TaskRun, *, at_front: bool = False) -> dict[str, Any]:
    """Return what the message of a run's next attempt consists of.

    The broker's own id is derived from the run and the attempt, so that publishing one attempt twice
    stores one payload, and the broker can be asked whether it still holds it.

    Args:
        run: The run.
        at_front: See `message_of`.
    """
    message_id = str(run.id)
    options: dict[str, Any] = {"redis_message_id": redis_message_id(message_id, run.attempts), "attempt": run.attempts}
    if run.priority:
        options["priority"] = run.priority
    if at_front or run.deaths:
        options["front"] = True
    return {
        "queue_name": broker_queue(run.queue, deaths=run.deaths),
        "actor_name": run.task,
        "args": (),
        "kwargs": run.arguments,
        "options": options,
        "message_id": message_id,
    }


def redis_message_id(run_id: UUID | str, attempts: int) -> str:
    """Return the id under which the broker holds the message of a run's next attempt."""
    return f"{run_id}:{attempts}"


def relay_once(*, limit: int = ROWS_AT_ONCE) -> int:
    """Publish rows that are due and not published; return how many.

    Raises:
        redis.RedisError: If the broker cannot be reached; the rows stay as they were.
    """
    admit_waiting()
    with transaction.atomic():
        due = (
            TaskRun.objects.select_for_update(skip_locked=True)
            .filter(state__in=(TaskRun.State.PENDING, TaskRun.State.RETRYING), limit_key="", run_after__lte=Now())
            .filter(waits_for_key=None)
            .filter(Q(run_after__gt=F("created_at")) | Q(created_at__lte=Now() - SENDER_FIRST))
            .filter(queue__in=due_queues())
            .order_by("run_after")
        )
        # What had started when its worker died has waited before all others.
        runs = list(due.filter(deaths__gt=0)[:limit])
        runs += due.filter(deaths=0)[: limit - len(runs)]
        broker().enqueue_many([message_of(run) for run in runs])
        TaskRun.objects.filter(id__in=[run.id for run in runs]).update(state=TaskRun.State.QUEUED, published_at=Now())
    return len(runs)


def expire_once() -> int:
    """Expire runs that were not started in time; return how many."""
    late = TaskRun.objects.filter(state__in=TaskRun.WAITING, expires_at__lte=Now())
    error = "It was not started before it expired."
    expired = 0
    while True:
        with transaction.atomic():
            some = unlocked(late, limit=ROWS_AT_ONCE).update(
                state=TaskRun.State.EXPIRED, finished_at=Now(), error=error
            )
        expired += some
        if some < ROWS_AT_ONCE:
            return expired

"""Compares the runs that wait at the broker with the messages that are there; a backlog does not make that dearer.

One process at a time has the turn, every five seconds. It looks at the newest queued runs, whose sender may have died
before it published them, and at the next few of all the others. Everything is compared, as fast as that goes, only
when the broker says that it is not the one of the last turn: it is empty, was restarted, or a replica took over.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from django.db.models import QuerySet
from django.db.models.functions import Now

from project.broker.service import broker
from project.tasks.models import TaskRun
from project.tasks.sending.last_chances import broker_queue
from project.tasks.sending.outbox import message_of, redis_message_id
from project.tasks.sending.paused_queues import copy_pauses

log = structlog.get_logger(__name__)

#: A run must have been published for so long before its message can be missed: its sender may still be at it.
SETTLE = timedelta(seconds=5)
#: The same while messages were certainly lost: publishing one twice does no harm.
SETTLE_IN_A_HURRY = timedelta(seconds=1)
#: How often some process compares: a lost message is missed within seconds, unless it was one of a long backlog.
TURN_EVERY = timedelta(seconds=5)
#: For so long after a loss there is a turn every second, for what was published meanwhile.
HURRY_FOR = timedelta(seconds=5)
HURRY_EVERY = timedelta(seconds=1)
#: How many runs one look covers, so that no backlog makes a turn long.
SLICE = 2500
#: How long a turn takes, more or less, when everything is compared: another process may go on then.
_LONGEST_TURN = timedelta(seconds=1)
#: The pause before the next turn while everything is compared.
_AT_ONCE = timedelta(milliseconds=1)
#: Messages that one round trip publishes, so that none keeps the broker from others for long.
_PUBLISHED_TOGETHER = 500
#: What a message is made of.
_COLUMNS = ("id", "task", "queue", "arguments", "attempts", "deaths", "priority")


@dataclass(frozen=True)
class Turn:
    """What a process is told when it is its turn to compare.

    Args:
        cursor: The run at which the last turn stopped; None to begin with the first.
        is_healing: Whether everything is to be compared.
        is_in_a_hurry: Whether messages were lost lately.
    """

    cursor: UUID | None
    is_healing: bool
    is_in_a_hurry: bool


def reconcile_in_turn() -> timedelta | None:
    """Publish runs again whose message the broker has lost, if it is this process's turn.

    Returns:
        A short pause if there is more to do at once.

    Raises:
        django.db.Error: If the database does not answer.
        redis.RedisError: If the broker does not, or is full.
    """
    turn = _take_turn()
    if turn is None:
        return None
    copy_pauses()
    broker().put_back_stranded()
    is_urgent = turn.is_healing or turn.is_in_a_hurry
    cursor = _compare(turn, settle=SETTLE_IN_A_HURRY if is_urgent else SETTLE)
    is_healing = turn.is_healing and cursor is not None
    pause = timedelta(0) if is_healing else HURRY_EVERY if is_urgent else TURN_EVERY
    broker().run_script("turned", str(cursor or ""), int(is_healing), _milliseconds(pause))
    return _AT_ONCE if is_healing else None


def _take_turn() -> Turn | None:
    told = broker().run_script("turn", _milliseconds(TURN_EVERY), _milliseconds(HURRY_FOR))
    if not told:
        return None
    cursor, is_healing, is_in_a_hurry = told
    return Turn(UUID(cursor.decode()) if cursor else None, bool(is_healing), bool(is_in_a_hurry))


def _compare(turn: Turn, *, settle: timedelta) -> UUID | None:
    """Compare some runs, or as many as a second allows; return the run to go on after, None once all were compared."""
    queued = TaskRun.objects.filter(state=TaskRun.State.QUEUED, published_at__lte=Now() - settle)
    deadline, cursor = time.monotonic() + _LONGEST_TURN.total_seconds(), turn.cursor
    while True:
        batch = _some_of(queued.filter(id__gt=cursor) if cursor else queued, order="id")
        _publish_lost(batch)
        was_all = cursor is None and len(batch) < SLICE
        cursor = batch[-1].id if len(batch) == SLICE else None
        if cursor is None or not turn.is_healing or time.monotonic() > deadline:
            break
    if not was_all:
        _publish_lost(_some_of(queued, order="-id"))
    return cursor


@dataclass(frozen=True)
class _Queued:
    id: UUID
    queue: str
    redis_message_id: str


def _some_of(queued: QuerySet[TaskRun], *, order: str) -> list[_Queued]:
    rows = queued.order_by(order).values_list("id", "queue", "deaths", "attempts")[:SLICE]
    return [
        _Queued(run_id, broker_queue(queue, deaths=deaths), redis_message_id(run_id, attempts))
        for run_id, queue, deaths, attempts in rows
    ]


def _publish_lost(runs: Sequence[_Queued]) -> None:
    lost = list(_lost(runs))
    for start in range(0, len(lost), _PUBLISHED_TOGETHER):
        # A run that was claimed meanwhile has no message any more, and needs none.
        ids = lost[start : start + _PUBLISHED_TOGETHER]
        still_queued = TaskRun.objects.filter(id__in=ids, state=TaskRun.State.QUEUED).order_by("id").only(*_COLUMNS)
        broker().enqueue_many([message_of(run) for run in still_queued])
    if lost:
        log.warning("messages_lost_by_broker", runs=len(lost), cure="they were published again")


def _lost(runs: Sequence[_Queued]) -> Iterator[UUID]:
    by_queue = defaultdict(list)
    for run in runs:
        by_queue[run.queue].append(run)
    for queue, its_runs in by_queue.items():
        held = broker().holds(queue, [run.redis_message_id for run in its_runs])
        yield from (run.id for run, is_held in zip(its_runs, held, strict=True) if not is_held)


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)

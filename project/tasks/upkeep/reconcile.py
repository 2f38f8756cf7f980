"""Compares the runs that wait at the broker with the messages that are there; a backlog does not make that dearer.

One process at a time has the turn, every five seconds. It looks at the runs queued lately, whose sender may have died
before it published them, and at the next few of all the others. Everything is compared, as fast as that goes, only
when the broker says that it is not the one of the last turn: it is empty, was restarted, or a replica took over.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from django.utils import timezone

from project.broker.service import broker
from project.tasks.models import TaskRun
from project.tasks.sending.last_chances import broker_queue
from project.tasks.sending.outbox import message_of
from project.tasks.sending.paused_queues import copy_pauses
from project.values.ids import first_uuid7

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
SLICE = 5000
#: Runs sent so lately are looked at in every turn: longer than transactions stay open and than clocks differ.
NEW = timedelta(minutes=10)
#: How long a turn takes, more or less, when everything is compared: another process may go on then.
_LONGEST_TURN = timedelta(seconds=1)
#: The pause before the next turn while everything is compared.
_AT_ONCE = timedelta(milliseconds=1)
#: Messages that one round trip publishes, so that none keeps the broker from others for long.
_PUBLISHED_TOGETHER = 500
#: Below every run's id.
_FIRST = UUID(int=0)
# The database makes the broker's ids, as `redis_message_id` does: row by row, Python would take ten times as long. What
# was claimed and given back before its sender could say that it published it has no time of that.
_SOME = """
    SELECT queue, deaths, array_agg(id || ':' || attempts ORDER BY id)
      FROM (SELECT id, queue, deaths, attempts FROM tasks_taskrun
             WHERE state = 'queued' AND id > %(after)s
               AND coalesce(published_at, created_at) <= statement_timestamp() - %(settle)s
             ORDER BY id {order} LIMIT %(most)s) AS chosen
     GROUP BY queue, deaths
"""
_NEXT, _NEWEST = _SOME.format(order="ASC"), _SOME.format(order="DESC")
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
    deadline, cursor = time.monotonic() + _LONGEST_TURN.total_seconds(), turn.cursor
    while True:
        count, last = _compare_some(_NEXT, {"after": cursor or _FIRST, "settle": settle})
        was_all = cursor is None and count < SLICE
        cursor = last if count == SLICE else None
        if cursor is None or not turn.is_healing or time.monotonic() > deadline:
            break
    if not was_all:
        _compare_some(_NEWEST, {"after": first_uuid7(timezone.now() - NEW), "settle": settle})
    return cursor


def _compare_some(sql: str, values: dict[str, Any]) -> tuple[int, UUID | None]:
    """Publish those of some runs again whose message is lost; return how many were compared, and the last of them."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values | {"most": SLICE})
        found: list[tuple[str, int, list[str]]] = cursor.fetchall()
    for queue, deaths, redis_message_ids in found:
        _publish_again(broker().missing(broker_queue(queue, deaths=deaths), redis_message_ids))
    last = max((redis_message_ids[-1] for _, _, redis_message_ids in found), default=None)
    return sum(len(redis_message_ids) for _, _, redis_message_ids in found), _run_of(last) if last else None


def _publish_again(redis_message_ids: Sequence[str]) -> None:
    lost = [_run_of(each) for each in redis_message_ids]
    for start in range(0, len(lost), _PUBLISHED_TOGETHER):
        # A run that was claimed meanwhile has no message any more, and needs none.
        ids = lost[start : start + _PUBLISHED_TOGETHER]
        still_queued = TaskRun.objects.filter(id__in=ids, state=TaskRun.State.QUEUED).order_by("id").only(*_COLUMNS)
        broker().enqueue_many([message_of(run) for run in still_queued])
    if lost:
        log.warning("messages_lost_by_broker", runs=len(lost), cure="they were published again")


def _run_of(redis_message_id: str) -> UUID:
    return UUID(redis_message_id.partition(":")[0])


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)

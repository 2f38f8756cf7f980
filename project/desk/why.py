"""Why is this run not running? Every reason that keeps it from starting, in an operator's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from project.broker.service import BROKER_ERRORS, broker
from project.desk.overview import living_workers
from project.tasks.declaration import all_declarations
from project.tasks.errors import Misfit, RetryLater
from project.tasks.models import PausedQueue, TaskRun, Worker
from project.tasks.policy import MAX_DEATHS
from project.tasks.sending.last_chances import broker_queue
from project.tasks.sending.outbox import redis_message_id
from project.tasks.sending.slots import has_slot, policy_of
from project.tasks.sending.starts import free_starts, next_start
from project.tasks.sending.unique import holder_of
from project.values.text import error_text, utc


@dataclass(frozen=True)
class Reason:
    """One thing to know about a run.

    Args:
        code: A stable word for scripts.
        text: A sentence for people, with what to do where there is something to do.
    """

    code: str
    text: str


def explain(run: TaskRun) -> list[Reason]:
    """Say how a run stands and, if it waits, everything that it waits for.

    What somebody must do something about comes first, then what passes by itself.
    """
    if run.state == TaskRun.State.RUNNING:
        return list(_running(run))
    if run.state not in TaskRun.UNFINISHED:
        return list(_ended(run))
    reasons = [reason for obstacle in _OBSTACLES for reason in obstacle(run)]
    if not any(reason.code in _HOLDS_BACK for reason in reasons):
        reasons += _unpublished(run)
    return reasons or [Reason("in_line", f"It is in line in queue {run.queue!r} and starts when a thread is free.")]


def _running(run: TaskRun) -> Iterator[Reason]:
    worker = Worker.objects.filter(id=run.worker_id).first() if run.worker_id else None
    since = f"since {utc(run.started_at)} (attempt {run.attempts})"
    if worker is None:
        yield Reason("worker_died", f"The worker that ran it {since} is gone; another one starts it within seconds.")
    else:
        yield Reason("running", f"It has been running {since} on {worker}, from queue {run.queue!r}.")
    if run.cancel_requested:
        yield Reason("cancel_requested", "It was asked to stop: TaskCancelled is raised in it within seconds.")


def _ended(run: TaskRun) -> Iterator[Reason]:
    error = error_text(run.error_type, run.error)
    error = f": {error.rstrip('.')}" if error else ""
    yield Reason(run.state, _END[run.state].format(at=utc(run.finished_at), error=error))
    # Asked for no key, the database would walk the whole table: no index has those.
    rivals = TaskRun.objects.filter(unique_key=run.unique_key, state__in=TaskRun.UNFINISHED)
    rival = rivals.first() if run.unique_key is not None else None
    if rival is not None:
        yield Reason("unique", f"It cannot be retried until run {rival.id}, which has the same unique key, has ended.")


_END: Final[dict[str, str]] = {
    TaskRun.State.SUCCEEDED: "It succeeded at {at}{error}.",
    TaskRun.State.DEAD: "It failed for good at {at}{error}. Retry it once the cause is repaired, or discard it.",
    TaskRun.State.CANCELLED: "It was cancelled at {at}{error}.",
    TaskRun.State.EXPIRED: "It expired at {at} without having succeeded{error}.",
    TaskRun.State.DISCARDED: "It failed for good at {at}{error}. It has been discarded since; it can still be retried.",
}


def _not_declared(run: TaskRun) -> Iterator[Reason]:
    if run.task not in all_declarations():
        yield Reason("unknown_task", f"This code has no task named {run.task!r}: deploy the code that has it.")


def _expired(run: TaskRun) -> Iterator[Reason]:
    if run.expires_at is not None and run.expires_at <= timezone.now():
        yield Reason("expired", f"It was to start before {utc(run.expires_at)}; it is marked as expired in a moment.")


def _queue_paused(run: TaskRun) -> Iterator[Reason]:
    paused = PausedQueue.objects.filter(queue=run.queue).first()
    if paused is not None:
        until = f"until {utc(paused.resume_at)}" if paused.resume_at else "until somebody resumes it"
        yield Reason("paused", f"Queue {run.queue!r} is paused by {paused.paused_by} {until}: {paused.reason}.")


def _no_worker(run: TaskRun) -> Iterator[Reason]:
    workers = living_workers().filter(kind=Worker.Kind.WORKER)
    if not any(run.queue in worker.queues for worker in workers):
        yield Reason("no_worker", f"No living worker consumes queue {run.queue!r}: start one that does.")


def _broker_down(_run: TaskRun) -> Iterator[Reason]:
    try:
        broker().client.ping()
    except BROKER_ERRORS as error:
        yield Reason("broker_down", f"The broker does not answer ({error}); waiting runs are published when it does.")


def _blocked_by_concurrency(run: TaskRun) -> Iterator[Reason]:
    task = all_declarations().get(run.task)
    limit = task.policy.max_concurrency if task is not None else None
    if limit is None:
        return
    if run.state != TaskRun.State.QUEUED and run.limit_key and not has_slot(run.limit_key, queue=run.queue):
        yield Reason(
            "max_concurrency",
            f"{limit} of {run.limit_key!r} may run at once, and as many run or are about to; "
            "it starts when one of them has ended.",
        )


def _blocked_by_rate(run: TaskRun) -> Iterator[Reason]:
    policy = policy_of(run.limit_key) if run.limit_key else None
    if run.state == TaskRun.State.QUEUED or policy is None or policy.rate is None:
        return
    at = next_start(run.limit_key, policy.rate)
    if at is not None or not free_starts(run.limit_key, policy.rate):
        when = f"the next one of those that wait starts at {utc(at)}" if at else "some of them are about to start"
        yield Reason("rate_limit", f"{policy.rate} of {run.limit_key!r} may start, and have; {when}.")


def _waits_for_its_key(run: TaskRun) -> Iterator[Reason]:
    holder = holder_of(run)
    if holder is not None:
        yield Reason("unique", f"It waits until run {holder.id}, which has its unique key, has ended.")


def _waits_for_its_time(run: TaskRun) -> Iterator[Reason]:
    if run.run_after <= timezone.now():
        return
    if run.state == TaskRun.State.RETRYING:
        yield Reason("retry_later", f"It waits until {utc(run.run_after)} for its next attempt: {_why_again(run)}.")
    else:
        yield Reason("later", f"It waits until {utc(run.run_after)}.")


def _why_again(run: TaskRun) -> str:
    if run.error_type == Misfit.__name__:
        return f"attempt {run.attempts} met a worker with other code: {run.error.rstrip('.')}"
    if run.postponed_since is not None and run.error_type == RetryLater.__name__:
        since = f"since {utc(run.postponed_since)}"
        return f"it was put off {run.postponements} times {since}, the last time with: {run.error.rstrip('.')}"
    return f"attempt {run.attempts} failed with {run.error_type or 'an error'}"


def _last_chance(run: TaskRun) -> Iterator[Reason]:
    if run.deaths == MAX_DEATHS - 1:
        yield Reason(
            "last_chance",
            f"{run.deaths} workers have died while they ran it, so it starts in a process of its own, which the pool "
            "starts within seconds; it waits for longer only while every such process is busy.",
        )


_OBSTACLES: Final[tuple[Callable[[TaskRun], Iterator[Reason]], ...]] = (
    _not_declared,
    _expired,
    _queue_paused,
    _no_worker,
    _broker_down,
    _blocked_by_concurrency,
    _blocked_by_rate,
    _waits_for_its_key,
    _waits_for_its_time,
    _last_chance,
)
#: While one of these holds, that the broker has no message of the run is as it should be, or not to be known.
_HOLDS_BACK: Final = frozenset(
    {"paused", "broker_down", "max_concurrency", "rate_limit", "unique", "later", "retry_later"}
)


def _unpublished(run: TaskRun) -> Iterator[Reason]:
    if broker().holds(broker_queue(run.queue, deaths=run.deaths), redis_message_id(run.id, run.attempts)):
        return
    if run.state == TaskRun.State.QUEUED:
        yield Reason("message_lost", "The broker does not hold its message; it is published again within 30 s.")
    else:
        relay = "within a second" if living_workers().exists() else "by the next worker or scheduler that starts"
        yield Reason("not_published", f"It is not published yet; that is done {relay}.")

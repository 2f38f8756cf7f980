"""A worker thread runs one delivered message: claim, run the task's code, record the outcome."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any
from uuid import UUID

import dramatiq
import structlog
from django.db import DatabaseError
from dramatiq.broker import MessageProxy

from project.broker.acks import NACK
from project.broker.delivery import Delivery
from project.broker.dramatiq_internals import message_of
from project.broker.service import broker
from project.tasks.declaration import Declaration
from project.tasks.errors import (
    ClaimLost,
    HardTimeLimitExceeded,
    Misfit,
    NoStartFree,
    PermanentError,
    TaskArgumentError,
    UnknownTaskError,
)
from project.tasks.running.claim import Claim, claim_run, limit_key_of
from project.tasks.running.context import log_fields, running_as
from project.tasks.running.database import insist
from project.tasks.running.group_commit import group_commit
from project.tasks.running.held import held_runs, hold, let_go
from project.tasks.running.interrupts import interrupts
from project.tasks.running.isolation import lent_connection
from project.tasks.running.members import with_outcomes
from project.tasks.running.outcomes import record_failure, record_success
from project.tasks.running.started_runs import started_runs
from project.tasks.sending.cause import caused_by, child_of
from project.tasks.sending.expiry import is_too_late
from project.tasks.sending.outbox import admit
from project.tasks.sending.starts import TakenStart, renew_start
from project.values.described import message_in

log = structlog.get_logger(__name__)

_delivery: ContextVar[MessageProxy | None] = ContextVar("delivery", default=None)


def deliver(delivery: MessageProxy) -> None:
    """Say which message this worker thread is about to call its actor for."""
    _delivery.set(delivery)


def take_delivery(actor_name: str) -> MessageProxy | None:
    """Return the delivered message if this call is the worker's, once.

    A worker calls an actor with the message's arguments only, just as anybody else does.
    """
    delivery = _delivery.get()
    if delivery is None or delivery.actor_name != actor_name:
        return None
    _delivery.set(None)
    return delivery


def execute(task: Declaration, delivery: MessageProxy) -> Any:
    """Run the task for a message and, if it has a row, record there what becomes of it."""
    message = message_of(delivery)
    if "attempt" not in message.options:
        return _run_fast(task, message)
    return _run_durable(task, message, take_claim(delivery))


def take_claim(delivery: MessageProxy) -> Claim | None:
    """Return the claim of a message that was claimed ahead; from now on it is the caller's to look after."""
    if not isinstance(delivery, Delivery):
        return None
    claim: Claim | None = delivery.claim
    delivery.claim = None
    return claim


def _run_durable(task: Declaration, message: dramatiq.Message[Any], ahead: Claim | None) -> None:
    """Run the task for a message that may have been claimed ahead."""
    if ahead is None and not hold(message.message_id, by=message):
        return  # another thread of this process has it
    try:
        claim = ahead
        if claim is None or claim.is_doubtful():
            claim = claim_run(message, task)
        if claim is not None:
            claim.begin()
            with started_runs.marked(claim.run_id):
                _run_claimed(task, claim)
    finally:
        let_go(message.message_id)
    if claim is not None and task.policy.is_limited:
        let_next_start(limit_key_of(task, claim.arguments))


def let_next_start(key: str) -> None:
    """Publish the next run that waits for a slot which a run has left."""
    # A success that is not written yet still has the slot.
    group_commit.flush()
    try:
        insist(lambda: admit(key))
    except DatabaseError as error:
        log.warning("slot_left_empty", limit=key, error=str(error).strip(), cure="a duty fills it within a second")


def _run_fast(task: Declaration, message: dramatiq.Message[Any]) -> Any:
    if is_too_late(message):
        log.warning("message_expired", task=task.name, run_id=message.message_id)
        return None
    with (
        log_fields(task=task.name, run_id=message.message_id),
        lent_connection(limit=task.policy.time_limit),
    ):
        give_up = partial(make_dead, message)
        with interrupts.allowed(message.message_id, time_limit=task.policy.time_limit, give_up=give_up):
            result = task.function(**fitting(task, task.signature.named(message.args, message.kwargs)))
        # There is no row to keep a result in, so only a pipeline has a use for it.
        return json.loads(task.signature.result_to_json(result)) if message.options.get("pipe_target") else None


def _run_claimed(task: Declaration, claim: Claim) -> None:
    with (
        log_fields(task=claim.task, run_id=claim.key, attempt=claim.attempt, request_id=claim.cause.request_id),
        caused_by(child_of(claim.cause, run_id=claim.run_id)),
    ):
        try:
            result = _attempt(task, claim)
        except ClaimLost:
            log.warning("claim_lost", cure="another worker has this run now; this attempt's outcome is dropped")
        except BaseException as error:  # whatever a task raises is its outcome
            note_failure(task, claim, error)
        else:
            note_success(task, claim, result)


def _attempt(task: Declaration, claim: Claim) -> str:
    with lent_connection(limit=task.policy.time_limit):
        arguments = fitting(task, claim.arguments)
        start = start_in_time(claim.start)
        with running_as(claim, time_limit=task.policy.time_limit, give_up=partial(_give_up, task, claim)):
            must_be_in_time(start)
            result = task.function(**arguments)
        return storable(task, result)


def start_in_time(start: TakenStart | None) -> TakenStart | None:
    """Return the start that a rate limit has counted for code that is about to begin.

    Raises:
        NoStartFree: If it came too late, and there is no other one.
    """
    if start is None or not start.is_late:
        return start
    renewed = insist(lambda: renew_start(start))
    if renewed is None:
        raise NoStartFree(f"{start.rate} may start, and others have meanwhile.")
    return renewed


def must_be_in_time(start: TakenStart | None) -> None:
    """Check that the code which begins now is the start that a rate limit has counted.

    Raises:
        NoStartFree: If it begins too late.
    """
    if start is not None and start.is_late:
        raise NoStartFree("Its code would have begun too late to count as what was recorded.")


def _give_up(task: Declaration, claim: Claim) -> None:
    record_failure(claim, HardTimeLimitExceeded(task.policy.time_limit), policy=task.policy)


def make_dead(message: dramatiq.Message[Any]) -> None:
    """Make a message without a row dead whose task does not end."""
    log.error("message_dead", task=message.actor_name, run_id=message.message_id, reason="it does not end")
    broker().acks.add(message.queue_name, message.options["redis_message_id"], NACK)


def fitting(task: Declaration, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored arguments as the task's function takes them.

    Raises:
        Misfit: If they do not fit this code.
    """
    try:
        fitting = task.signature.from_json(arguments)
        return with_outcomes(task, fitting) if task.signature.outcomes else fitting
    except (TaskArgumentError, UnknownTaskError) as error:
        raise Misfit(f"{error} It is tried again until a worker comes whose code they fit, or for an hour.") from error


def storable(task: Declaration, result: object) -> str:
    """Return what the task returned as JSON text.

    Raises:
        PermanentError: If that cannot be kept.
    """
    try:
        return task.signature.result_to_json(result)
    except ValueError as error:
        raise PermanentError(f"What it returned cannot be kept: {error}") from error


def note_success(task: Declaration, claim: Claim, result: str) -> None:
    """Record that the attempt succeeded, and say so."""
    record_success(claim, result, policy=task.policy)
    log.info("run_succeeded", seconds=_age(claim))


def note_failure(task: Declaration, claim: Claim, error: BaseException) -> None:
    """Record that the attempt raised, and say what follows."""
    state = record_failure(claim, error, policy=task.policy)
    say = log.error if state == "dead" else log.warning
    say(f"run_{state}", error_type=type(error).__name__, error=message_in(error), seconds=_age(claim), exc_info=error)


def _age(claim: Claim) -> float:
    return round(time.monotonic() - claim.begun, 3)


def executing_here() -> set[UUID]:
    """Return the runs that this process has claimed, is claiming or runs, or whose success is not written yet."""
    return held_runs() | group_commit.unwritten()

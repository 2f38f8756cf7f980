"""The event loop runs one delivered message, as `running.execution` does in a thread: claim, await, record.

Whatever may wait for the database or for Redis is called beside the loop. A success without a next step is not: it is
only put down there, and written together with others.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, TypeVar

import dramatiq
import structlog
from django.conf import settings
from dramatiq.broker import MessageProxy

from project.broker.dramatiq_internals import message_of
from project.tasks.declaration import Declaration
from project.tasks.errors import ClaimLost, EventLoopBlocked, HardTimeLimitExceeded, PermanentError
from project.tasks.loop.database import BlockingCalls, enter_database, leave_database
from project.tasks.loop.interrupts import Interruptible
from project.tasks.loop.own_tasks import OwnTasks
from project.tasks.running.beside_loop import beside_loop
from project.tasks.running.claim import Claim, claim_run, limit_key_of
from project.tasks.running.context import running_as
from project.tasks.running.database import own_connection
from project.tasks.running.execution import (
    fitting,
    let_next_start,
    make_dead,
    must_be_in_time,
    note_failure,
    note_success,
    start_in_time,
    storable,
    take_claim,
)
from project.tasks.running.held import hold, let_go
from project.tasks.running.interrupts import interrupts
from project.tasks.running.loop_pulse import LoopPulse
from project.tasks.running.outcomes import record_failure
from project.tasks.running.progress import Progress
from project.tasks.running.started_runs import started_runs
from project.tasks.sending.cause import caused_by, child_of
from project.tasks.sending.expiry import LAST_START, is_too_late
from project.tasks.sending.starts import TakenStart

T = TypeVar("T")
log = structlog.get_logger(__name__)


def execute_alone(task: Declaration, delivery: MessageProxy) -> Any:
    """Run a coroutine function for a message on an event loop of its own, in this thread.

    So do processes without a shared loop, such as those for last chances, which run one task at a time.
    """
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(BlockingCalls())
        return runner.run(execute_async(task, delivery))


async def execute_async(task: Declaration, delivery: MessageProxy, pulse: LoopPulse | None = None) -> Any:
    """Run the task for a message and, if it has a row, record there what becomes of it.

    Args:
        task: A coroutine function.
        delivery: The message.
        pulse: Of the loop, if other runs share it.
    """
    message = message_of(delivery)
    if "attempt" not in message.options:
        return await _run_fast(task, message, pulse)
    return await _run_durable(task, message, take_claim(delivery), pulse)


async def _run_durable(
    task: Declaration, message: dramatiq.Message[Any], ahead: Claim | None, pulse: LoopPulse | None
) -> None:
    """Run the task for a message that may have been claimed ahead."""
    if ahead is None and not hold(message.message_id, by=message):
        return  # this process has it already
    try:
        claim = ahead
        if claim is None or claim.is_doubtful():
            claim = await beside_loop(claim_run, message, task)
        if claim is not None:
            claim.begin()
            with started_runs.marked(claim.run_id):
                await _run_claimed(task, claim, pulse)
    finally:
        let_go(message.message_id)
    if claim is not None and task.policy.is_limited:
        await beside_loop(let_next_start, limit_key_of(task, claim.arguments))


async def _run_fast(task: Declaration, message: dramatiq.Message[Any], pulse: LoopPulse | None) -> Any:
    if LAST_START in message.options and await beside_loop(is_too_late, message):
        log.warning("message_expired", task=task.name, run_id=message.message_id)
        return None
    structlog.contextvars.bind_contextvars(task=task.name, run_id=message.message_id)
    result = await _attempt(
        task,
        message.message_id,
        lambda: fitting(task, task.signature.named(message.args, message.kwargs)),
        partial(
            interrupts.allowed,
            message.message_id,
            time_limit=task.policy.time_limit,
            give_up=partial(make_dead, message),
            pulse=pulse,
        ),
    )
    # There is no row to keep a result in, so only a pipeline has a use for it.
    return json.loads(task.signature.result_to_json(result)) if message.options.get("pipe_target") else None


async def _run_claimed(task: Declaration, claim: Claim, pulse: LoopPulse | None) -> None:
    # Each run has a context of its own, so nothing is undone at its end.
    structlog.contextvars.bind_contextvars(
        task=claim.task, run_id=claim.key, attempt=claim.attempt, request_id=claim.cause.request_id
    )
    progress = Progress(claim.run_id, claim.attempt)
    with caused_by(child_of(claim.cause, run_id=claim.run_id)):
        try:
            result = await _attempt_claimed(task, claim, pulse, progress)
        except ClaimLost:
            log.warning("claim_lost", cure="another worker has this run now; this attempt's outcome is dropped")
        except BaseException as error:  # whatever a task raises is its outcome
            await beside_loop(_note_failure, task, claim, error, progress)
        else:
            if claim.next_steps:
                await beside_loop(note_success, task, claim, result)
            else:
                note_success(task, claim, result)


async def _attempt_claimed(task: Declaration, claim: Claim, pulse: LoopPulse | None, progress: Progress) -> str:
    result = await _attempt(
        task,
        claim.key,
        lambda: fitting(task, claim.arguments),
        partial(
            running_as,
            claim,
            time_limit=task.policy.time_limit,
            give_up=partial(_give_up, task, claim, pulse),
            pulse=pulse,
            progress=progress,
        ),
        claim.start,
    )
    return storable(task, result)


async def _attempt(
    task: Declaration,
    key: str,
    arguments: Callable[[], dict[str, Any]],
    allowed: Callable[..., AbstractContextManager[object]],
    start: TakenStart | None = None,
) -> object:
    """Await the coroutine; give back what it used of the database, and end what it left behind.

    Args:
        task: The task.
        key: The run's name.
        arguments: Returns the coroutine function's arguments.
        allowed: Lets a block be interrupted.
        start: What a rate limit has counted.
    """
    own, database = OwnTasks(key), enter_database(limit=task.policy.time_limit)
    try:
        # Only what became of a batch's members is read from the database.
        given = await beside_loop(_on_own_connection, arguments) if task.signature.outcomes else arguments()
        if start is not None and start.is_late:
            start = await beside_loop(start_in_time, start)
        must_be_in_time(start)
        coroutine = Interruptible(task.function(**given))
        with allowed(throw=coroutine.interrupt):
            result = await coroutine
    except BaseException:
        await own.end()
        with suppress(PermanentError):
            await leave_database(database)
        raise
    await own.end()
    await leave_database(database)
    return result


def _on_own_connection(function: Callable[[], T]) -> T:
    with own_connection():
        return function()


def _note_failure(task: Declaration, claim: Claim, error: BaseException, progress: Progress) -> None:
    progress.write_noted()
    note_failure(task, claim, error)


def _give_up(task: Declaration, claim: Claim, pulse: LoopPulse | None) -> None:
    has_blocked = pulse is not None and pulse.is_blocked
    grace, limit = settings.TASKS_TIME_LIMIT_GRACE, task.policy.time_limit
    record_failure(claim, EventLoopBlocked(grace) if has_blocked else HardTimeLimitExceeded(limit), policy=task.policy)

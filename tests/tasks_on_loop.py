"""Async tasks that exist only while tests run."""

import asyncio
from datetime import timedelta

import structlog
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from project.tasks import current_run, report_progress, task
from project.tasks.errors import TimeLimitExceeded
from project.tasks.models import TaskRun
from tests import tasks_for_tests
from tests.tasks_for_tests import Sum, notes

_SOON = timedelta(milliseconds=10)


async def gate() -> None:
    """Wait for the gate that tests open."""
    while not tasks_for_tests.gate.is_set():
        await asyncio.sleep(0.01)


@task("loop.meet", max_retries=0)
async def meet(*, company: int) -> int:
    """Wait until so many run at once."""
    notes.append("here")
    while len(notes) < company:
        await asyncio.sleep(0.01)
    return len(notes)


@task("loop.wait", max_retries=0)
async def wait(*, swallows: bool = False) -> None:
    """Wait for the gate, and note how it was interrupted; swallow that once if told to."""
    notes.append("started")
    report_progress(0.5, "half way")
    try:
        await gate()
    except asyncio.CancelledError as error:
        notes.append(type(error).__name__)
        if not swallows:
            raise
    await gate()


@task("loop.clean_up", max_retries=0, time_limit=timedelta(milliseconds=100))
async def clean_up() -> None:
    """Use up the time limit in a group of coroutines, and clean up."""
    async with asyncio.TaskGroup() as group:
        group.create_task(gate())
        try:
            await asyncio.wait_for(gate(), timeout=60)
        except TimeLimitExceeded:
            await asyncio.sleep(0.01)
            notes.append("cleaned up")
            raise


@task("loop.who_am_i")
async def who_am_i(*, pause: float) -> list[str]:
    """Tell, again and again, as which run this code runs, and send a child."""
    told = set()
    for _ in range(5):
        run = current_run()
        assert run is not None
        told |= {str(run.run_id), structlog.contextvars.get_contextvars()["run_id"]}
        await asyncio.sleep(pause)
    child = await tasks_for_tests.add.asend(1)
    told.add(str((await TaskRun.objects.aget(id=child.run_id)).parent_id))
    return sorted(told)


@task("loop.use_database", max_retries=0)
async def use_database() -> int:
    """Use the async ORM a few times; return how many connections there are to the database."""
    for _ in range(3):
        await TaskRun.objects.acount()
        await asyncio.sleep(0.01)
    return await sync_to_async(connections_now)()


def connections_now() -> int:
    """Return how many connections there are to the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


@task("loop.iterate", max_retries=0)
async def iterate() -> int:
    """Read rows one by one from a cursor that the server keeps, while others run."""
    seen = 0
    async for _ in TaskRun.objects.order_by("id").aiterator(chunk_size=2):
        await asyncio.sleep(0.01)
        seen += 1
    return seen


@task("loop.leave_open", max_retries=0)
async def leave_open() -> None:
    """Change something in a transaction and forget to commit it."""
    await sync_to_async(_change_without_commit)()


def _change_without_commit() -> None:
    transaction.set_autocommit(False)
    TaskRun.objects.filter(task="loop.leave_open").update(error="changed")


@task("loop.blocking", max_retries=0)
async def blocking() -> str:
    """Use the database in a thread of asyncio's, and leave the session changed."""
    return await asyncio.to_thread(_look_and_spoil)


def _look_and_spoil() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW search_path")
        (found,) = cursor.fetchone()
        cursor.execute("SET search_path = nowhere")
    return str(found)


@task("loop.leave_behind", max_retries=0)
async def leave_behind() -> None:
    """Start a coroutine and do not wait for it."""
    left.add(asyncio.ensure_future(_note_cancellation()))
    await asyncio.sleep(0)


left: set["asyncio.Future[None]"] = set()


async def _note_cancellation() -> None:
    try:
        await gate()
    except asyncio.CancelledError:
        notes.append("cancelled")
        raise


@task("loop.cancel_itself", max_retries=0)
async def cancel_itself() -> None:
    """Be cancelled by nobody else."""
    raise asyncio.CancelledError


@task("loop.alone", max_concurrency=1)
async def alone(*, number: int) -> None:
    """Run one at a time."""
    notes.append("start")
    await asyncio.sleep(0.01)
    notes.append("end")


@task("loop.fast", durable=False, max_retries=1, min_backoff=_SOON, max_backoff=_SOON)
async def fast(*, note: str) -> None:
    """Leave no row, and fail once."""
    notes.append(note)
    if len(notes) == 1:
        raise ValueError("once")


@task("loop.fast_and_slow", durable=False, max_retries=0, time_limit=timedelta(milliseconds=100))
async def fast_and_slow() -> None:
    """Leave no row, and use up the time limit."""
    try:
        await gate()
    except TimeLimitExceeded:
        notes.append("too long")
        raise


@task("loop.fail", max_retries=1, min_backoff=_SOON, max_backoff=_SOON)
async def fail(value: Sum) -> Sum:
    """Fail in the first attempt."""
    run = current_run()
    if run is not None and run.attempt == 1:
        report_progress(0.3, "as far as it came")
        raise ValueError("first")
    return value


@task("loop.send_blocking", max_retries=0)
async def send_blocking() -> None:
    """Send as plain functions do."""
    tasks_for_tests.add.send(1)

"""Tasks that exist only while tests run; they note in lists what happened to them."""

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from pydantic import BaseModel

from project.tasks import Outcome, task
from project.tasks.errors import PermanentError, ResultUnavailable, RetryLater, TaskCancelled, TimeLimitExceeded
from project.tasks.running.context import current_run
from project.tasks.sending.message import Message


class Sum(BaseModel):
    """What `add` returns."""

    total: int


#: What tasks noted, in order; cleared before each test.
notes: list[str] = []
#: Tasks that wait, wait for this.
gate = threading.Event()


@task("tests.add")
def add(left: int, right: int = 1) -> Sum:
    """Add two numbers."""
    return Sum(total=left + right)


@task("tests.double")
def double(value: Sum) -> Sum:
    """Double a sum."""
    return Sum(total=value.total * 2)


@task("tests.add_async")
async def add_async(left: int) -> Sum:
    """Add one, in a coroutine."""
    return Sum(total=left + 1)


@task("tests.fail", max_retries=2, min_backoff=timedelta(milliseconds=10), max_backoff=timedelta(milliseconds=10))
def fail(*, times: int) -> str:
    """Raise that many times, then succeed."""
    notes.append("attempt")
    if len(notes) <= times:
        raise RuntimeError(f"attempt {len(notes)} failed")
    return "done"


@task("tests.refuse", max_retries=5)
def refuse() -> None:
    """Fail for good."""
    notes.append("attempt")
    raise PermanentError("never")


@task("tests.later", max_retries=5)
def later() -> str:
    """Ask for another attempt at once, which the backoff would not give it."""
    notes.append("attempt")
    if len(notes) == 1:
        raise RetryLater(after=timedelta(0), reason="the peer is busy")
    return "done"


@task("tests.lie")
def lie() -> int:
    """Return something else than it declares."""
    return "not a number"  # type: ignore[return-value]


@task("tests.nul")
def nul() -> str:
    """Return what PostgreSQL cannot store."""
    return "\x00"


@task("tests.echo")
def echo(*, text: str) -> str:
    """Return what it is given."""
    return text


@task("tests.slow", max_retries=0, time_limit=timedelta(milliseconds=200))
def slow() -> None:
    """Use up the time limit, and clean up."""
    try:
        while True:
            gate.wait(0.01)
    except TimeLimitExceeded:
        notes.append("cleaned up")
        raise


@task("tests.wait_for_database", max_retries=0, time_limit=timedelta(milliseconds=300))
def wait_for_database() -> None:
    """Wait where no exception can be raised in the thread: inside the database driver."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(60)")


@task("tests.wait", max_retries=0)
def wait() -> float:
    """Wait for the gate, as an unending task would; return the share of its time limit that was left."""
    notes.append("started")
    run = current_run()
    assert run is not None
    run.report_progress(0.5, "half way")
    try:
        while not gate.wait(0.01):
            pass
    except TaskCancelled:
        notes.append("cancelled")
        raise
    return run.remaining.total_seconds()


@task("tests.once", unique=True)
def once(*, key: int) -> int:
    """Be unfinished only once for each key."""
    return key


@task("tests.alone", max_concurrency=1)
def alone(*, number: int) -> None:
    """Run in one thread at a time."""
    notes.append("start")
    gate.wait(0.05)
    notes.append("end")


@task("tests.alone_and_failing", max_concurrency=1, max_retries=1, min_backoff=timedelta(minutes=1))
def alone_and_failing(*, is_last: bool) -> None:
    """Fail, for good or to be tried again much later."""
    raise PermanentError("for good") if is_last else RetryLater(after=timedelta(hours=1))


@task("tests.parent")
def parent() -> str:
    """Send another task."""
    return str(add.send(1).run_id)


@task("tests.patient", time_limit=timedelta(days=30))
def patient() -> str:
    """Take less time than it may."""
    return "done"


@task("tests.wait_for_child", max_retries=3)
def wait_for_child() -> Sum:
    """Wait for a task that needs a thread, in a thread."""
    return add.send(1).result(timeout=10)


@task("tests.wait_for_delayed_child_async", max_retries=3)
async def wait_for_delayed_child_async() -> Sum:
    """Wait as `wait_for_child` does, in a coroutine, which takes no thread from its child."""
    return await (await add.using(delay=timedelta(hours=1)).asend(1)).aresult(timeout=10)


@task("tests.read_finished")
def read_finished(*, run_id: UUID) -> Sum:
    """Read the result of a run that has ended."""
    return Message[Sum]("default", "tests.add", (), {}, {}, str(run_id)).result(timeout=10)


@task("tests.wait_for_child_fast", durable=False, max_retries=0)
def wait_for_child_fast() -> None:
    """Wait as `wait_for_child` does, without a row."""
    try:
        add.send(1).result(timeout=10)
    except ResultUnavailable as error:
        notes.append(str(error))


@task("tests.fast_and_short_lived", durable=False, expires=timedelta(minutes=1))
def fast_and_short_lived(*, note: str) -> None:
    """Leave no row, and be of no use after a minute."""
    notes.append(note)


@task("tests.fast", durable=False)
def fast(*, note: str) -> None:
    """Leave no row."""
    notes.append(note)


def _no_key(number: int) -> str:
    raise RuntimeError("no key")


@task("tests.undecided", unique=_no_key)
def undecided(number: int) -> int:
    """Cannot say whether it is unique."""
    return number


@task("tests.anything")
def anything(*, value: Any) -> Any:
    """Return anything."""
    return value


@task("tests.only", unique=True)
def only(number: int) -> int:
    """Be unfinished only once for each number; a step of a chain can be."""
    return number


@task("tests.patiently", max_retries=0)
def patiently(*, times: int) -> str:
    """Ask for another attempt that many times."""
    notes.append("attempt")
    if len(notes) <= times:
        raise RetryLater(after=timedelta(0), reason="the peer is busy")
    return "done"


@task("tests.brief", expires=timedelta(seconds=1))
def brief() -> None:
    """Start soon or never."""


@task("tests.fast_pair", durable=False)
def fast_pair(first: str, second: str) -> str:
    """Note two words."""
    notes.append(f"{first} {second}")
    return f"{first} {second}"


@task("tests.fast_and_patient", durable=False, max_retries=0)
def fast_and_patient(*, times: int) -> None:
    """Ask for another attempt that many times, and leave no row."""
    notes.append("attempt")
    if len(notes) <= times:
        raise RetryLater(after=timedelta(milliseconds=10))


@task("tests.total")
def total(outcomes: list[Outcome[Sum]], *, plus: int = 0) -> int:
    """Add up what the members of a batch returned, and note why others did not."""
    notes.extend(str(outcome.error) for outcome in outcomes if outcome.error is not None)
    notes.append("".join("s" if outcome.ok else "f" for outcome in outcomes))
    return plus + sum(outcome.value.total for outcome in outcomes if outcome.ok)


@task("tests.odd")
def odd(number: int) -> Sum:
    """Return odd numbers and refuse the others for good."""
    if number % 2 == 0:
        raise PermanentError(f"{number} is even")
    return Sum(total=number)


@task("tests.rated", rate_limit="3/hour", max_retries=5, min_backoff=timedelta(milliseconds=1))
def rated(*, number: int) -> None:
    """Start three times in an hour; fail if the number is odd."""
    notes.append(str(number))
    if number % 2:
        raise RuntimeError("odd")


@task("tests.rated_by_user", rate_limit="2/hour", rate_limit_key=lambda user_id: user_id)
def rated_by_user(user_id: int, text: str = "") -> None:
    """Start twice in an hour for each user."""
    notes.append(f"{user_id}{text}")


@task("tests.alone_by_user", max_concurrency=1, concurrency_key=lambda user_id: user_id)
def alone_by_user(user_id: int, text: str = "") -> None:
    """Run in one thread at a time for each user."""
    notes.append(f"start {user_id}")
    gate.wait(5)
    notes.append(f"end {user_id}")

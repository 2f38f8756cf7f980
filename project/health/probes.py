"""What must work for this process to get traffic: cheap questions with short timeouts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone
from django.utils.module_loading import import_string

from project.broker.addresses import connect
from project.health.errors import NotReadyError
from project.names import TaskName
from project.tasks.models import TaskRun

#: For one question to PostgreSQL or Redis; an orchestrator usually waits a few seconds for all of them.
TIMEOUT_SECONDS = 2
#: `ping` is sent every minute: one may be late or lost, a third is not.
PING_MAX_AGE = timedelta(minutes=3)
#: How long an answer is given again, so that a flood of requests is one question.
ANSWER_LASTS_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Whether this process should get traffic.

    Args:
        failing: The name and reason of each probe in `READINESS_PROBES` that fails: traffic should go elsewhere.
        alarms: What somebody should look at though requests can be answered.
    """

    failing: dict[str, str]
    alarms: list[str]


_lock = Lock()
_answer: tuple[float, Readiness] | None = None


def readiness() -> Readiness:
    """Ask all probes, or give the last answer again if it is fresh."""
    global _answer  # noqa: PLW0603 - one answer per process is the point
    with _lock:
        if _answer is None or time.monotonic() - _answer[0] > ANSWER_LASTS_SECONDS:
            failing = ask_probes(settings.READINESS_PROBES)
            alarms: list[str] = []
            if not failing:
                alarms, failing = ask_alarms(settings.READINESS_ALARMS)
            _answer = (time.monotonic(), Readiness(failing=failing, alarms=alarms))
        return _answer[1]


def ask_alarms(paths: list[str]) -> tuple[list[str], dict[str, str]]:
    """Call each function and return all lines they returned, and why the database does not answer if it does not.

    They ask as requests do, with a connection of the pool, so that requests would fail as well then.
    """
    try:
        return [line for path in paths for line in import_string(path)()], {}
    except DatabaseError as error:
        connection.close()
        return [], {"database": f"the database does not answer requests ({type(error).__name__})"}


def ask_probes(paths: list[str]) -> dict[str, str]:
    """Call each probe and return the name and reason of those that raised `NotReadyError`."""
    failing = {}
    for path in paths:
        probe: Callable[[], None] = import_string(path)
        try:
            probe()
        except NotReadyError as reason:
            failing[path.rpartition(".")[2]] = str(reason)
    return failing


def database() -> None:
    """Ask PostgreSQL for a row.

    Raises:
        NotReadyError: If it does not answer in time.
    """
    with _short_connection() as short:
        short.execute("SELECT 1")


def broker() -> None:
    """Ask Redis for a pong.

    Raises:
        NotReadyError: If it does not answer in time.
    """
    client = connect(settings.REDIS_URL, socket_timeout=TIMEOUT_SECONDS)
    try:
        client.ping()
    except redis.RedisError as error:
        raise NotReadyError(f"the broker does not answer ({type(error).__name__})") from error
    finally:
        client.close()


def ping() -> None:
    """Look whether the clock, the broker and a worker together ran `ping` lately.

    Raises:
        NotReadyError: If the last `ping` that succeeded is older than `PING_MAX_AGE`.
    """
    pings = TaskRun.objects.filter(task=TaskName.PING, state=TaskRun.State.SUCCEEDED)
    query, parameters = pings.order_by("-id").values("finished_at")[:1].query.sql_with_params()
    with _short_connection() as short:
        row = short.execute(query, parameters).fetchone()
    if row is None:
        raise NotReadyError("no ping has succeeded yet; is a scheduler and a worker running?")
    age = timezone.now() - row[0]
    if age > PING_MAX_AGE:
        raise NotReadyError(f"the last ping succeeded {int(age.total_seconds())} seconds ago")


@contextmanager
def _short_connection() -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Connect past the pool: a probe must neither wait for the pool nor take from it."""
    parameters = connection.get_connection_params() | {"connect_timeout": TIMEOUT_SECONDS}
    try:
        with psycopg.connect(**parameters) as short:
            short.execute(f"SET LOCAL statement_timeout = '{TIMEOUT_SECONDS}s'")
            yield short
    except psycopg.Error as error:
        raise NotReadyError(f"the database does not answer ({type(error).__name__})") from error

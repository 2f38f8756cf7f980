"""What any living process does for all of them, and the one cheap question whether there is anything to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import Error as DatabaseError
from django.db import connection

from project.broker.service import BROKER_ERRORS
from project.database.prepared_statements import run_prepared
from project.tasks.repair.bulk_steps import step_bulk_retries
from project.tasks.repair.pauses import resume_due_queues
from project.tasks.sending.due_queues import DUE_QUEUES
from project.tasks.sending.outbox import ROWS_AT_ONCE, expire_once, fill_slots, relay_once
from project.tasks.upkeep.batch_callbacks import settle_batches
from project.tasks.upkeep.dead_workers import PRESUMED_DEAD_AFTER, free_abandoned_runs, remove_silent_workers
from project.values.text import exception_text

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Duty:
    """Something that must be done by one process, whichever it is.

    Args:
        name: What the logs call it.
        is_due: Whether there is anything to do, as an SQL condition that an index answers.
        do: The deed; several processes may do it at the same time.
    """

    name: str
    is_due: str
    do: Callable[[], object]


def _relay() -> None:
    while relay_once() == ROWS_AT_ONCE:
        pass


# The conditions compare with the time at which the statement came in, for which PostgreSQL searches an index. The
# running clock changes from row to row: it would have to look at every row that waits.
#: In the order in which they are done.
DUTIES = (
    Duty(
        name="expire runs",
        is_due="""EXISTS (SELECT FROM tasks_taskrun WHERE state IN ('pending', 'queued', 'retrying')
                             AND expires_at IS NOT NULL AND expires_at <= statement_timestamp())""",
        do=expire_once,
    ),
    Duty(
        name="resume queues",
        is_due="EXISTS (SELECT FROM tasks_pausedqueue WHERE resume_at <= statement_timestamp())",
        do=resume_due_queues,
    ),
    Duty(
        name="settle batches",
        is_due="EXISTS (SELECT FROM tasks_taskbatch WHERE finished_at IS NULL)",
        do=settle_batches,
    ),
    Duty(
        name="retry in bulk",
        is_due="EXISTS (SELECT FROM tasks_bulkretry WHERE finished_at IS NULL)",
        do=step_bulk_retries,
    ),
    Duty(
        name="remove silent workers",
        is_due="EXISTS (SELECT FROM tasks_worker WHERE beat_at < statement_timestamp() - %(dead_after)s::interval)",
        do=remove_silent_workers,
    ),
    Duty(
        name="free abandoned runs",
        is_due="""EXISTS (SELECT FROM tasks_taskrun AS run WHERE state = 'running'
                             AND NOT EXISTS (SELECT FROM tasks_worker AS worker WHERE worker.id = run.worker_id))""",
        do=free_abandoned_runs,
    ),
    Duty(
        name="relay",
        is_due=f"EXISTS ({DUE_QUEUES})",
        do=_relay,
    ),
    Duty(
        name="fill slots",
        is_due="""EXISTS (SELECT FROM tasks_taskrun WHERE state IN ('pending', 'retrying')
                             AND limit_key <> '' AND run_after <= statement_timestamp())""",
        do=fill_slots,
    ),
)
_UNTIL_NEXT = """
    (SELECT extract(epoch FROM least(
        (SELECT min(run_after) FROM tasks_taskrun
          WHERE state IN ('pending', 'retrying') AND limit_key = '' AND run_after > statement_timestamp()),
        (SELECT min(run_after) FROM tasks_taskrun
          WHERE state IN ('pending', 'retrying') AND limit_key <> '' AND run_after > statement_timestamp()),
        (SELECT min(look_at) FROM tasks_limit WHERE look_at > statement_timestamp())
     ) - statement_timestamp())::float8)
"""
_ASK = f"SELECT {_UNTIL_NEXT}, {', '.join(duty.is_due for duty in DUTIES)}"


def what_is_due() -> tuple[list[Duty], timedelta | None]:
    """Ask for all duties at once whether there is anything to do.

    Returns:
        The duties for which there is, in the order in which they are done; and how long until the next delayed run or
        retry is due, None if none waits.

    Raises:
        django.db.Error: If the database does not answer.
    """
    seconds, *answers = run_prepared(_ASK, {"dead_after": f"{PRESUMED_DEAD_AFTER.total_seconds()} seconds"})[0]
    due = [duty for duty, is_due in zip(DUTIES, answers, strict=True) if is_due]
    return due, None if seconds is None else timedelta(seconds=max(seconds, 0))


class Duties:
    """Does the duties that are due, each by itself, and remembers which of them fail."""

    def __init__(self) -> None:
        self._failing: dict[str, str] = {}

    def do_what_is_due(self) -> timedelta | None:
        """Do each duty for which there is something to do; an error in one is logged and stops no other.

        Returns:
            How long until the next delayed run or retry is due; None if none waits.

        Raises:
            django.db.Error: If the database does not say what is due.
        """
        duties, until_next = what_is_due()
        for duty in duties:
            self._try(duty)
        return until_next

    def _try(self, duty: Duty) -> None:
        try:
            duty.do()
        except (DatabaseError, *BROKER_ERRORS) as error:
            # The next duty must not meet a connection that this one left broken.
            connection.close()
            self._note(duty, error, cure="it is tried again; see whether database and broker answer")
        except Exception as error:
            # A defect, or a row that nobody thought of: nothing else may stand still because of it.
            self._note(duty, error, cure="it is tried again; correct or delete the row that is named, or report it")
        else:
            self._failing.pop(duty.name, None)

    def _note(self, duty: Duty, error: Exception, *, cure: str) -> None:
        reason = exception_text(error)
        if self._failing.get(duty.name) != reason:
            self._failing[duty.name] = reason
            log.warning("duty_failed", duty=duty.name, error=reason, cure=cure, exc_info=error)

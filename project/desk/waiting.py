"""Requests that wait until a run has ended, and leave threads and connections to the others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from django.db import connection

from project.environment import environment
from project.tasks.models import TaskRun
from project.tasks.sending.message import growing_pauses
from project.values.deadline import Deadline
from project.web.stopping import stopping

#: No request waits for longer: proxies give up on an answer after a minute or so.
LONGEST_WAIT = timedelta(seconds=30)
#: Half of the threads that answer requests; the other half is for those that need no waiting.
_seats = threading.BoundedSemaphore(environment.web_threads // 2)


def wait_for_end(find: Callable[[], TaskRun], *, seconds: float) -> tuple[TaskRun, bool]:
    """Look at a run until it has ended or the time is up.

    Args:
        find: Returns the run as it stands.
        seconds: How long to wait.

    Returns:
        The run, and whether it was waited for; otherwise too many others wait already, or this process is to end.
    """
    run = find()
    if run.state not in TaskRun.UNFINISHED or not seconds:
        return run, True
    if not _seats.acquire(blocking=False):
        return run, False
    try:
        deadline, pauses = Deadline.after(seconds), growing_pauses()
        while run.state in TaskRun.UNFINISHED and deadline.left and not stopping.is_set():
            _leave_connection_to_others()
            stopping.wait(min(next(pauses), deadline.left))
            run = find()
    finally:
        _seats.release()
    return run, run.state not in TaskRun.UNFINISHED or not stopping.is_set()


def _leave_connection_to_others() -> None:
    if not connection.in_atomic_block:
        connection.close()

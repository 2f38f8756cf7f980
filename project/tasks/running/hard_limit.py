"""Replaces a process in which a task goes on after its time limit, in a blocking C call that no exception reaches.

The same goes for a coroutine that blocks the event loop of its process, and so every other one there. Nothing but the
end of the process ends such a task. So the process takes no more messages, lets its other runs end, tells the run what
became of it, and ends; its supervisor starts another. What still runs when the time to shut down is over, or shares the
blocked loop, is released to be tried elsewhere, and counts no death: it is not to blame.
"""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.db.models.functions import Now
from dramatiq.middleware import Middleware

from project.tasks.models import TaskRun, Worker
from project.tasks.running.database import insist
from project.tasks.running.group_commit import group_commit
from project.tasks.running.interrupts import Running, interrupts
from project.tasks.running.this_worker import this_worker

if TYPE_CHECKING:
    from dramatiq.worker import Worker as DramatiqWorker

    from project.broker.broker import ServiceBroker

log = structlog.get_logger(__name__)

#: How often the process looks for runs that do not end; their limit and its grace are much longer.
_LOOK_EVERY = timedelta(milliseconds=500)
#: How long the end of the process waits for Redis to take the outcomes; what it does not take is tried again.
_FLUSH_TIMEOUT = timedelta(seconds=5)
#: What is released starts no sooner than this, so that this process has ended by then.
_STARTS_AGAIN_AFTER = timedelta(seconds=1)


class HardLimit(Middleware):
    """Ends a process in which a task does not end."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._watcher: threading.Thread | None = None

    def after_worker_boot(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:  # type: ignore[override]
        """Start to watch, where SIGHUP is a clean stop and not the end of somebody's shell."""
        if callable(signal.getsignal(signal.SIGHUP)):
            self._watcher = threading.Thread(target=self._watch, args=[broker], name="hard-limit", daemon=True)
            self._watcher.start()

    def after_worker_shutdown(self, broker: ServiceBroker, worker: DramatiqWorker) -> None:  # type: ignore[override]
        """End the process without what does not end, now that the time for all others is over."""
        self._stopped.set()
        if self._watcher and interrupts.stuck(after=settings.TASKS_TIME_LIMIT_GRACE):
            end_process(broker)

    def _watch(self, broker: ServiceBroker) -> None:
        is_draining = False
        while not self._stopped.wait(_LOOK_EVERY.total_seconds()):
            stuck = interrupts.stuck(after=settings.TASKS_TIME_LIMIT_GRACE)
            if stuck and not is_draining:
                is_draining = True
                runs = [running.key for running in stuck]
                log.critical("run_does_not_end", runs=runs, cure="this process drains, and is replaced")
                os.kill(os.getpid(), signal.SIGHUP)
            if stuck and broker.work.closed and broker.work.unfinished_tasks <= _hopeless(stuck, broker):
                end_process(broker)


def _hopeless(stuck: list[Running], broker: ServiceBroker) -> int:
    """Return how many runs will not end: those that are stuck, and those on an event loop that one of them blocks."""
    in_threads = [running for running in stuck if running.pulse is None]
    if any(running.pulse is not None and running.pulse.is_blocked for running in stuck):
        return len(in_threads) + broker.work.on_loop()
    return len(stuck)


def end_process(broker: ServiceBroker) -> None:
    """Record what became of the runs of this process, and end it without waiting for any thread."""
    try:
        group_commit.settle()
        for running in interrupts.stuck(after=settings.TASKS_TIME_LIMIT_GRACE):
            running.give_up()
        broker.acks.flush(timeout=_FLUSH_TIMEOUT.total_seconds())
        insist(release_runs)
    except Exception:
        log.exception("process_ends_untidily", cure="its runs are freed as those of a dead process")
    finally:
        os._exit(1)


def release_runs() -> None:
    """Let others run what this process still runs, and sign off."""
    runs = TaskRun.objects.filter(worker_id=this_worker.id, state=TaskRun.State.RUNNING)
    runs.filter(cancel_requested=True).update(state=TaskRun.State.CANCELLED, finished_at=Now())
    released = runs.update(
        state=TaskRun.State.RETRYING,
        run_after=Now() + _STARTS_AGAIN_AFTER,
        error_type="WorkerReplaced",
        error="Its process had to be replaced, because another run there did not end.",
    )
    Worker.objects.filter(id=this_worker.id).delete()
    log.warning("runs_released", runs=released)

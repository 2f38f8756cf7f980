"""The worker and scheduler processes of a drill."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from project.drill.options import Options
from project.drill.tasks import QUEUE
from project.embedded.spawn import signal_when_parent_dies
from project.environment import BASE_DIR
from project.tasks.models import Worker

#: How long a process that was told to end may take to finish its runs; the drill's runs last for some 100 ms.
_DRAIN_SECONDS = 20.0
#: How long after the second signal a pool may take to end: it drops what it runs.
_CUT_SECONDS = 5.0
_SKEWED = Path(__file__).with_name("skewed")


class Processes:
    """The processes: a pool of workers, one more worker whose clock is wrong, and a scheduler.

    Each is the leader of a process group.

    Args:
        options: How many of them.
        directory: Where their logs go.
    """

    def __init__(self, options: Options, *, directory: Path) -> None:
        self._options = options
        self._directory = directory
        self._pool: subprocess.Popen[bytes] | None = None
        self._skewed: subprocess.Popen[bytes] | None = None
        self._scheduler: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a pool of workers and, on the drill's own servers, a scheduler."""
        self._pool = self._start_workers(processes=self._options.processes)
        self.start_scheduler()

    def start_scheduler(self) -> None:
        """Start a scheduler; on configured servers its clock would send what the schedules there say."""
        if not self._options.configured:
            self._scheduler = self._run("runscheduler")

    def kill_scheduler(self) -> None:
        """Kill the scheduler and start another."""
        if self._scheduler is not None:
            self._scheduler.kill()
            self._scheduler.wait()
        self.start_scheduler()

    def signal_twice(self) -> None:
        """Tell the whole pool twice to end, as a terminal or `timeout` does, and start another.

        Raises:
            subprocess.TimeoutExpired: If it does not end then.
        """
        if self._pool is not None:
            os.killpg(self._pool.pid, signal.SIGTERM)
            time.sleep(1)
            os.killpg(self._pool.pid, signal.SIGTERM)
            self._pool.wait(_CUT_SECONDS)
        self._pool = self._start_workers(processes=self._options.processes)

    def skew_clock(self, seconds: int) -> None:
        """Start a worker whose clock is wrong, in the place of the one before.

        Args:
            seconds: How far it is ahead; behind, if negative.
        """
        if self._skewed is not None:
            self._skewed.terminate()
            self._skewed.wait(_DRAIN_SECONDS)
        self._skewed = self._start_workers(processes=1, CLOCK_SKEW=str(seconds), PYTHONPATH=str(_SKEWED))

    def workers(self) -> list[int]:
        """Return the ids of the worker processes that have signed on and live."""
        pids = Worker.objects.filter(kind=Worker.Kind.WORKER).values_list("pid", flat=True)
        return [pid for pid in pids if self._is_ours(pid)]

    def stop(self) -> None:
        """End everything; on configured servers so that nothing of it is left in their tables."""
        for process in (self._pool, self._skewed, self._scheduler):
            if process is not None:
                if self._options.configured:
                    process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_DRAIN_SECONDS)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _is_ours(self, pid: int) -> bool:
        # The row may be of a process that died, and its id somebody else's by now.
        try:
            return os.getpgid(pid) in {pool.pid for pool in (self._pool, self._skewed) if pool is not None}
        except ProcessLookupError:
            return False

    def _start_workers(self, *, processes: int, **environment: str) -> subprocess.Popen[bytes]:
        size = ["--processes", str(processes), "--threads", str(self._options.threads)]
        return self._run("rundramatiq", *size, "--queues", QUEUE, "--skip-logging", **environment)

    def _run(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self._directory / f"{arguments[0]}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "manage.py", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=BASE_DIR,
                env={**os.environ, **environment},
                start_new_session=True,
                preexec_fn=signal_when_parent_dies(signal.SIGKILL),  # noqa: PLW1509 - one system call
            )

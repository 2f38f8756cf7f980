"""The worker and scheduler processes of a drill."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from project.drill.options import Options
from project.drill.tasks import QUEUE
from project.embedded.spawn import signal_when_parent_dies
from project.environment import BASE_DIR
from project.tasks.models import Worker

_DRAIN_SECONDS = 20.0


class Crew:
    """The processes, each pool the leader of a process group.

    Args:
        options: How many of them.
        directory: Where their logs go.
    """

    def __init__(self, options: Options, *, directory: Path) -> None:
        self._options = options
        self._directory = directory
        self._pool: subprocess.Popen[bytes] | None = None
        self._scheduler: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a pool of workers and, on the drill's own servers, a scheduler."""
        size = ["--processes", str(self._options.processes), "--threads", str(self._options.threads)]
        self._pool = self._run("rundramatiq", *size, "--queues", QUEUE, "--skip-logging")
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

    def workers(self) -> list[int]:
        """Return the ids of the worker processes that have signed on and live."""
        pids = Worker.objects.filter(kind=Worker.Kind.WORKER).values_list("pid", flat=True)
        return [pid for pid in pids if self._is_ours(pid)]

    def stop(self) -> None:
        """End everything; on configured servers so that nothing of it is left in their tables."""
        for process in (self._pool, self._scheduler):
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
            return self._pool is not None and os.getpgid(pid) == self._pool.pid
        except ProcessLookupError:
            return False

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._directory / f"{arguments[0]}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "manage.py", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=BASE_DIR,
                start_new_session=True,
                preexec_fn=signal_when_parent_dies(signal.SIGKILL),  # noqa: PLW1509 - one system call
            )

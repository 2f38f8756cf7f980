"""Keeps a pool of worker processes running: `python -m project.pool.supervisor`, which `rundramatiq` becomes.

It imports nothing but the standard library, so it is much smaller than Dramatiq's master. Each worker is a fresh
interpreter whose standard input is a connection to this process; `protocol` has what is said over it. The worker says
when it is ready and when it wants to be replaced. It is told which others have died, and frees what they had claimed:
nobody has to wait until their silence proves it. And it drains when the connection ends, so that nothing outlives a
supervisor that is killed.

SIGTERM and SIGINT drain all workers (a second one kills them), SIGHUP replaces them one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import FrameType

from project.pool.child import Child
from project.pool.last_chance_children import LastChanceChildren
from project.pool.log_format import EventFormatter
from project.pool.protocol import Freed, FreeRunsOf, LastChancesWait, Names, RunFork

log = logging.getLogger("project.pool.supervisor")

#: How long one round, in which every process is listened to, waits for something to be said. A death is noticed after
#: so long at most.
ROUND = timedelta(seconds=0.4)
#: What a process gets to end, once its tasks have had their time: for the last outcomes and to sign off.
TIME_TO_END = timedelta(seconds=15)
#: Signals that come within so long are one request: `timeout` sends each to its child and to the group.
ONE_REQUEST = timedelta(seconds=0.25)
#: How often the end of a drain is looked for.
_LOOK_EVERY = timedelta(seconds=0.05)
#: The exit code of a pool that had to kill a process.
KILLED = 1


class Pool:
    """The worker processes, and what is to become of them.

    Args:
        children: The processes; not started yet.
        last_chances: Those that run what is on its last chance.
        shutdown_timeout: Seconds that running tasks are given to end.
        fork: Returns the process of a function that some middleware wants to have run in one, always the same.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        last_chances: LastChanceChildren,
        shutdown_timeout: float,
        fork: Callable[[str], Child],
    ) -> None:
        self._children = list(children)
        self._last_chances = last_chances
        self._fork = fork
        self._shutdown_timeout = shutdown_timeout
        self._to_replace: list[Child] = []
        self._stop_requests = 0
        self._asked_at = float("-inf")
        self._must_replace_all = False
        self._was_ready = False
        # The dead, and which process was last told to free what they held.
        self._dead: dict[Names, int] = {}

    def run(self) -> int:
        """Run until told to stop; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        for child in self._children:
            child.start()
        failure = self._watch()
        code = self._stop()
        return failure or code

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGHUP:
            self._must_replace_all = True
        elif now - self._asked_at > ONE_REQUEST.total_seconds():
            self._asked_at = now
            self._stop_requests += 1

    def _watch(self) -> int:
        """Keep every process running; return when told to stop, or the exit code of a pool that cannot start."""
        while not self._should_stop():
            if failure := self.watch_once():
                return failure
        return 0

    def watch_once(self) -> int:
        """Listen to every process once and do what follows; return the exit code of a pool that cannot start."""
        for child in self._children:
            self._listen_to(child)
            self._was_ready |= child.is_ready and child.names is not None
            if child.wants_replacement and child not in self._to_replace:
                self._to_replace.append(child)
            if failure := self._look_after(child):
                return failure
        self._look_after_last_chances()
        self._tell_who_died()
        self._replace_next()
        return 0

    def _listen_to(self, child: Child) -> None:
        for message in child.listen(timeout=ROUND.total_seconds() / len(self._all())):
            match message:
                case LastChancesWait():
                    self._last_chances.start_another()
                case Freed(names=names):
                    self._dead.pop(names, None)
                case RunFork(function=function):
                    self._run_fork(function)

    def _run_fork(self, function: str) -> None:
        child = self._fork(function)
        if child not in self._children:
            child.start()
            self._children.append(child)

    def _look_after_last_chances(self) -> None:
        for child in self._last_chances.living:
            self._listen_to(child)
        self._dead.update(dict.fromkeys(self._last_chances.forget_ended(), 0))

    def _should_stop(self) -> bool:
        if self._must_replace_all:
            self._must_replace_all = False
            self._to_replace = list(self._children)
            log.info("replacing_all_processes", extra={"processes": len(self._children)})
        return self._stop_requests > 0

    def _look_after(self, child: Child) -> int:
        """Start a process again that has ended; return its exit code if none ever got as far as to work."""
        code = child.poll()
        if code is None:
            return 0
        if code > 0 and not self._was_ready:
            cure = "read the lines before this one; the pool gives up, because no process has ever worked"
            log.critical("process_cannot_start", extra={"pid": child.pid, "exit_code": code, "cure": cure})
            return code
        if code and child.names:
            self._dead[child.names], child.names = 0, None
        if child.start_if_due() and child in self._to_replace:
            self._to_replace.remove(child)
        return 0

    def _tell_who_died(self) -> None:
        """Tell one process that works which others died; if it dies before it has freed their runs, tell another."""
        ready = {child.pid: child for child in self._children if child.is_ready and child.names}
        for names, told in self._dead.items():
            if ready and told not in ready:
                pid, child = next(iter(ready.items()))
                child.tell(FreeRunsOf(names))
                self._dead[names] = pid

    def _replace_next(self) -> None:
        """Have one process at a time drained, so that the others keep working."""
        if all(child.is_ready for child in self._children) and self._to_replace:
            self._to_replace[0].drain()

    def _stop(self) -> int:
        living = [child for child in self._all() if child.poll() is None]
        for child in living:
            child.drain()
        deadline = time.monotonic() + self._shutdown_timeout + TIME_TO_END.total_seconds()
        while any(child.poll() is None for child in living):
            if self._stop_requests > 1:
                self._kill_all("told to stop a second time")
            elif time.monotonic() > deadline:
                self._kill_all("it does not end")
            time.sleep(_LOOK_EVERY.total_seconds())
        # One that was only just starting, and did not handle signals yet, has died of this one. That is no failure.
        codes = {child.poll() or 0 for child in living} - {-signal.SIGTERM, -signal.SIGHUP}
        return KILLED if min(codes, default=0) < 0 else max(codes, default=0)

    def _all(self) -> list[Child]:
        return [*self._children, *self._last_chances.living]

    def _kill_all(self, why: str) -> None:
        for child in self._all():
            if child.poll() is None:
                cure = "none: what it ran is tried again"
                log.error("process_killed", extra={"pid": child.pid, "why": why, "cure": cure})
                child.send(signal.SIGKILL)


def main(arguments: Sequence[str]) -> int:
    """Run a pool.

    Args:
        arguments: The supervisor's own, `--`, and the command of each worker process.
    """
    end = list(arguments).index("--")
    options, worker = _parse(arguments[:end]), arguments[end + 1 :]
    output = _open(options.log_file)
    handler = logging.StreamHandler(os.fdopen(os.dup(output), "w"))
    handler.setFormatter(EventFormatter(as_json=options.json_logs))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    fork = cache(lambda function: Child([*worker, "--run-fork", function], output=output))
    children = [Child(worker, output=output) for _ in range(options.processes)]
    children += map(fork, options.fork_function)
    last_chances = LastChanceChildren([*worker, "--alone"], output=output, most=options.processes)
    try:
        seconds = options.shutdown_timeout / 1000
        return Pool(children, last_chances=last_chances, shutdown_timeout=seconds, fork=fork).run()
    finally:
        if options.pid_file:
            with contextlib.suppress(FileNotFoundError):
                Path(options.pid_file).unlink()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="supervisor")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--shutdown-timeout", type=int, default=600_000)
    parser.add_argument("--pid-file")
    parser.add_argument("--log-file")
    parser.add_argument("--json-logs", action="store_true")
    parser.add_argument("--fork-function", action="append", default=[])
    return parser.parse_args(arguments)


def _open(log_file: str | None) -> int:
    """Return the descriptor that all processes write to: whole lines, each with one system call."""
    if log_file is None:
        return sys.stderr.fileno()
    return os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

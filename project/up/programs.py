"""Run several programs until one ends or somebody asks to stop; then stop them one after another.

The output is honcho's. Its process manager is not used: it signals whole process groups, which makes
Dramatiq's workers, signalled twice, drop what they run; it stops everything at once; and it cannot see
that a program has died as long as something it forked still holds its output.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from project.embedded.server import Server
from project.embedded.spawn import signal_group, spawn

#: How often a program or server that has ended is looked for: nobody at a terminal notices a tenth of a second.
_LOOK_EVERY = timedelta(seconds=0.1)
#: How often a program is asked whether it is ready: the start of the whole service waits for it.
_ASK_EVERY = timedelta(seconds=0.02)
#: How long the next program waits for one to be ready, which is more than slow machines need; it is started then.
_READY_WITHIN = timedelta(seconds=20)


@dataclass(frozen=True)
class Program:
    """What to run.

    Args:
        name: The prefix of its output.
        command: The program and its arguments.
        drain_seconds: How long it may take to end after SIGTERM.
        is_ready: Asked again and again before the next program is started, so that this one has the machine for itself.
    """

    name: str
    command: Sequence[str]
    drain_seconds: float
    is_ready: Callable[[], bool] = lambda: True


class Console:
    """Prints lines with a prefix, from several threads; once nobody reads them any more, it prints nothing."""

    def __init__(self, names: Sequence[str]) -> None:
        self._printer = Printer(sys.stdout, width=max(map(len, names)))
        self._colours = dict(zip(names, get_colours(), strict=False))
        self._lock = threading.Lock()

    def print(self, line: str | bytes, *, name: str = "system") -> None:
        """Print one line."""
        colour = self._colours.get(name)
        message = Message(type="line", data=line, time=datetime.now().astimezone(), name=name, colour=colour)
        with self._lock:
            try:
                self._printer.write(message)
            except OSError:
                self._printer.output = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the rest of the run


class Programs:
    """Starts programs, and stops all of them when one ends or somebody asks to.

    Args:
        programs: What to run, in the order in which to stop it.
        servers: What they depend on; one that dies is started again.
        locks: Directory for the programs' locks.
        directory: Where the programs run.
    """

    def __init__(self, programs: Sequence[Program], *, servers: Sequence[Server], locks: Path, directory: Path) -> None:
        self.console = Console(["system", *(program.name for program in programs)])
        self._programs = programs
        self._servers = servers
        self._locks = locks
        self._directory = directory
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._readers: list[threading.Thread] = []
        self._signals = 0

    def run(self, *, greeting: Sequence[str]) -> int:
        """Run everything to its end.

        Args:
            greeting: Lines to print when all programs are started.

        Returns:
            The exit code: 0 if somebody asked to stop, 1 if a program ended on its own.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        try:
            for program in self._programs:
                self._start(program)
                self._wait_until_ready(program)
            for line in greeting:
                self.console.print(line)
            ended = self._watch()
        finally:
            self._stop_all()
        return 1 if ended else 0

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _start(self, program: Program) -> None:
        child = spawn(
            program.command,
            lock=self._locks / f"{program.name}.lock",
            parent_died=signal.SIGTERM,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._directory,
        )
        self._children[program.name] = child
        reader = threading.Thread(target=self._relay_output, args=(program.name, child), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _wait_until_ready(self, program: Program) -> None:
        deadline = time.monotonic() + _READY_WITHIN.total_seconds()
        child = self._children[program.name]
        while child.poll() is None and not self._signals and not program.is_ready() and time.monotonic() < deadline:
            time.sleep(_ASK_EVERY.total_seconds())

    def _relay_output(self, name: str, child: subprocess.Popen[bytes]) -> None:
        for line in child.stdout or ():
            self.console.print(line, name=name)

    def _watch(self) -> str | None:
        """Wait until somebody asks to stop, or return the name of what ended on its own."""
        while not self._signals:
            for name, child in self._children.items():
                if child.poll() is not None:
                    self.console.print(f"{name} ended with {child.returncode}; stopping everything")
                    return name
            for server in self._servers:
                self._keep_alive(server)
            time.sleep(_LOOK_EVERY.total_seconds())
        return None

    def _keep_alive(self, server: Server) -> None:
        if not server.is_running():
            self.console.print(f"{server.name} ended; starting it again")
            server.start()
            server.wait_until_ready()

    def _stop_all(self) -> None:
        signals = self._signals
        for program in self._programs:
            if program.name in self._children:
                self._stop(program, signals=signals)
        for server in self._servers:
            server.stop()
        for reader in self._readers:
            reader.join(timeout=1)
        self.console.print("everything has stopped")

    def _stop(self, program: Program, *, signals: int) -> None:
        """Ask a program to drain and wait; another Ctrl-C cuts that short."""
        child = self._children[program.name]
        if child.poll() is None:
            self.console.print(f"stopping {program.name}")
            # The leader alone: it passes it on to its processes, and told twice it would drop what they run.
            child.terminate()
        deadline = time.monotonic() + program.drain_seconds
        while child.poll() is None and time.monotonic() < deadline and self._signals <= max(signals, 1):
            time.sleep(_LOOK_EVERY.total_seconds())
        signal_group(child.pid, signal.SIGKILL)
        child.wait()

"""One system's workers, from their start to their end, and what is measured of them in between."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil

from tests.benchmarks.peers import python_of
from tests.benchmarks.stage import Stage
from tests.benchmarks.system import System

PROCESSES, THREADS = 2, 4
START_TIMEOUT = 60.0
SETTLE = 1.0


@dataclass
class Session:
    """Running workers."""

    stage: Stage
    system: System
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    seconds_to_first_task: float = 0.0

    @property
    def workers(self) -> list[int]:
        """The process groups of the workers."""
        return [process.pid for process in self.started]

    def measure(self, *, latencies: int, singles: int, share: float, seconds: float) -> dict[str, float]:
        """Give the start latency of idle workers in milliseconds, and the rates of sending and working."""
        messages = int(self.system.messages * share)
        figures = self.agent("measure", count=latencies, singles=singles, messages=messages, seconds=seconds)
        percentiles = quantiles(figures.pop("latencies"), n=100)
        return {"latency_p50": percentiles[49], "latency_p99": percentiles[98], **figures}

    def throughput(self, *, messages: int, seconds: float, data: str = "") -> float:
        """Give the rate at which the workers work off a bulk that was sent while they were paused."""
        figures = self.agent("throughput", messages=messages, seconds=seconds, data=data)
        return float(figures["throughput"])

    def idle_cpu(self, *, seconds: float, servers: bool = False) -> float:
        """Give the percentage of one core that all workers use while they wait.

        Args:
            seconds: How long they are watched.
            servers: Count Valkey and PostgreSQL too.
        """
        before, started = self._cpu_seconds(servers=servers), time.perf_counter()
        time.sleep(seconds)
        return (self._cpu_seconds(servers=servers) - before) / (time.perf_counter() - started) * 100

    def megabytes(self) -> float:
        """Give the memory of the largest worker process; pages that several share are divided among them."""
        return max(_proportional_bytes(process) for process in _with_children(self.workers)) / 2**20

    def agent(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Do an agent's action with the workers' process groups."""
        figures: dict[str, Any] = self.stage.agent(self.system, action, groups=self.workers, **arguments)
        return figures

    def _cpu_seconds(self, *, servers: bool) -> float:
        watched = _with_children(self.workers + (self.stage.servers if servers else []))
        return sum(sum(process.cpu_times()[:2]) for process in watched)


def _with_children(parents: list[int]) -> list[psutil.Process]:
    processes = [psutil.Process(parent) for parent in parents]
    return [process for parent in processes for process in (parent, *parent.children(recursive=True))]


def _proportional_bytes(process: psutil.Process) -> int:
    """Give the proportional set size where the system knows it (Linux), else what belongs to the process alone."""
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.uss))


@contextmanager
def running(stage: Stage, system: System, *, processes: int = PROCESSES, settle: float = SETTLE) -> Iterator[Session]:
    """Start a system's workers with one message waiting, and end them.

    Args:
        stage: Where they run.
        system: Whose workers they are.
        processes: How many.
        settle: Seconds that they get after their first task.
    """
    stage.prepare(system)
    session = Session(stage, system)
    with ExitStack() as ends:
        started = time.perf_counter()
        for number in range(processes if system.copies else 1):
            session.started.append(_start(ends, stage, system, number, command=_command(stage, system, processes)))
        _wait_for_first_task(session, started)
        session.seconds_to_first_task = time.perf_counter() - started
        time.sleep(settle)
        ends.enter_context(_ending(session))
        yield session


def _command(stage: Stage, system: System, processes: int) -> list[str]:
    interpreter = python_of(system)
    fields = {"processes": processes, "threads": THREADS, "all": processes * THREADS, "url": stage.redis_url}
    program, *arguments = system.command.format(**fields).split()
    return [str(interpreter.parent / program) if program != "python" else str(interpreter), *arguments]


def _start(
    ends: ExitStack, stage: Stage, system: System, number: int, *, command: list[str]
) -> "subprocess.Popen[bytes]":
    with _log(stage, system, number).open("wb") as log:
        return ends.enter_context(stage.process(command, stage.environment_of(system), log))


def _wait_for_first_task(session: Session, started: float) -> None:
    while not session.stage.client.llen("bench:stamps"):
        died = any(process.poll() is not None for process in session.started)
        if died or time.perf_counter() - started > START_TIMEOUT:
            said = _log(session.stage, session.system, 0).read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{session.system.title} did not run its first task:\n{said}")
        time.sleep(0.005)


@contextmanager
def _ending(session: Session) -> Iterator[None]:
    """Kill what left the workers' process groups, too."""
    processes = _with_children(session.workers)
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _log(stage: Stage, system: System, number: int) -> Path:
    return stage.logs / f"{system.key}-{number}.log"

"""One system's workers, from their start to their end, and what is measured of them in between."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import psutil

from tests.benchmarks.stage import ROOT, Stage, python_of

PROCESSES, THREADS = 2, 4
START_TIMEOUT = 60.0
SETTLE = 1.0


@dataclass(frozen=True)
class System:
    """A task queue that is measured.

    Args:
        module: Its module in ``systems/``.
        title: What the table calls it.
        command: Its worker's command line after the interpreter; ``{processes}`` and ``{threads}`` are filled in.
        copies: Whether it is started once per process.
        messages: How many messages a throughput run sends; fewer where even those take longer than the run.
    """

    module: str
    title: str
    command: str
    copies: bool = False
    messages: int = 20_000


@dataclass
class Session:
    """Running workers."""

    stage: Stage
    system: System
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    seconds_to_first_task: float = 0.0

    def measure(self, *, latencies: int, singles: int, share: float, seconds: float) -> dict[str, float]:
        """Give the start latency of idle workers in milliseconds, and the rates of sending and working."""
        messages = int(self.system.messages * share)
        figures = self._agent("measure", count=latencies, singles=singles, messages=messages, seconds=seconds)
        percentiles = quantiles(figures.pop("latencies"), n=100)
        return {"latency_p50": percentiles[49], "latency_p99": percentiles[98], **figures}

    def throughput(self, *, messages: int, seconds: float, data: str = "") -> float:
        """Give the rate at which the workers work off a bulk that was sent while they were paused."""
        figures = self._agent("throughput", messages=messages, seconds=seconds, data=data)
        return float(figures["throughput"])

    def idle_cpu(self, *, seconds: float) -> float:
        """Give the percentage of one core that all workers use while they wait."""
        before, started = self._cpu_seconds(), time.perf_counter()
        time.sleep(seconds)
        return (self._cpu_seconds() - before) / (time.perf_counter() - started) * 100

    def megabytes(self) -> float:
        """Give the memory of the largest worker process."""
        return max(process.memory_info().rss for process in self._processes()) / 2**20

    def _agent(self, action: str, **arguments: Any) -> dict[str, Any]:
        groups = [worker.pid for worker in self.workers]
        figures: dict[str, Any] = self.stage.agent(self.system.module, action, groups=groups, **arguments)
        return figures

    def _processes(self) -> list[psutil.Process]:
        parents = [psutil.Process(worker.pid) for worker in self.workers]
        return [process for parent in parents for process in (parent, *parent.children(recursive=True))]

    def _cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())


@contextmanager
def running(stage: Stage, system: System, *, processes: int = PROCESSES) -> Iterator[Session]:
    """Start a system's workers with one message waiting, and end them."""
    stage.prepare(system.module)
    session = Session(stage, system)
    started = time.perf_counter()
    try:
        for number in range(processes if system.copies else 1):
            session.workers.append(_start(stage, system, processes=processes, number=number))
        while not stage.client.llen("bench:stamps"):
            if time.perf_counter() - started > START_TIMEOUT:
                raise RuntimeError(f"{system.title} did not run its first task:\n{_log(stage, system, 0)[-4000:]}")
            time.sleep(0.005)
        session.seconds_to_first_task = time.perf_counter() - started
        time.sleep(SETTLE)
        yield session
    finally:
        for worker in session.workers:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def _start(stage: Stage, system: System, *, processes: int, number: int) -> "subprocess.Popen[bytes]":
    interpreter = python_of(system.module)
    fields = {"processes": processes, "threads": THREADS, "all": processes * THREADS, "url": stage.redis_url}
    program, *arguments = system.command.format(**fields).split()
    command = [str(interpreter.parent / program) if program != "python" else str(interpreter), *arguments]
    environment = stage.environment(system.module)
    with (stage.logs / f"{system.module}-{number}.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _log(stage: Stage, system: System, number: int) -> str:
    return (stage.logs / f"{system.module}-{number}.log").read_text(errors="replace")

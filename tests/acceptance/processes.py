"""Real processes of the service for acceptance tests: started, watched, paused, killed, never left behind.

Fixtures (tests/acceptance/conftest.py), all on the test's own database (`transactional_db`) and Valkey:

    def test_...(service):
        worker = service.worker(processes=1, threads=2)         # manage.py rundramatiq, ready when this returns
        clock = service.scheduler()                             # manage.py runscheduler
        web = service.web()                                     # the web server; web.url == "http://127.0.0.1:…"
        done = service.command("schedule", "list")              # any manage.py command, run to its end
        worker.terminate()                                      # SIGTERM, wait, the exit code
        worker.kill(); worker.pause(); worker.resume()          # SIGKILL, SIGSTOP, SIGCONT for the process
        worker.kill_group()                                     # … and all that it forked
        worker.output                                           # all it has printed so far

A test that breaks the broker or the database takes one of its own, so that the others keep theirs:

    def test_...(service, private_valkey):                      # service's processes now use it
        private_valkey.kill(); private_valkey.start(); private_valkey.wait_until_ready()
        pause(private_valkey.pid); resume(private_valkey.pid)   # SIGSTOP, SIGCONT
    def test_...(service, private_postgres): ...  # migrated; psycopg.connect(private_postgres.url)

What a test writes through the ORM lands in the shared test database, never in the private one.
"""

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from project.embedded.server import free_port
from project.embedded.spawn import signal_when_parent_dies
from tests.eventually import eventually

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 20.0


class Running:
    """One started process, the leader of its own process group.

    Args:
        name: What failures and the log file call it.
        command: The program and its arguments.
        environment: All of its environment variables.
        log: The file that its output goes to.
        url: Where it answers, when it is a web server.
    """

    def __init__(self, name: str, command: list[str], *, environment: dict[str, str], log: Path, url: str = "") -> None:
        self.name = name
        self.url = url
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=ROOT,
                start_new_session=True,
                preexec_fn=signal_when_parent_dies(signal.SIGKILL),
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything it has printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def exit_code(self) -> int | None:
        """How it ended, or None while it runs."""
        return self._process.poll()

    def wait_for(self, text: str, *, times: int = 1, timeout: float = START_SECONDS) -> None:
        """Wait until it has printed a text; fail at once when it ends before."""
        eventually(lambda: self.output.count(text) >= times or self.exit_code is not None, timeout=timeout)
        assert self.output.count(text) >= times, f"{self.name} ended with {self.exit_code}:\n{self.output}"

    def terminate(self, *, timeout: float = STOP_SECONDS) -> int:
        """Send SIGTERM, wait for the end and return the exit code."""
        self._process.terminate()
        return self.wait(timeout=timeout)

    def wait(self, *, timeout: float = STOP_SECONDS) -> int:
        """Wait for the end and return the exit code."""
        return self._process.wait(timeout)

    def kill(self) -> None:
        """Send SIGKILL to the process alone."""
        self._process.kill()
        self._process.wait()

    def kill_group(self) -> None:
        """Send SIGKILL to the process and to all that it forked."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def pause(self) -> None:
        """Stop the process and all that it forked in their tracks."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        os.killpg(self.pid, signal.SIGCONT)


class Service:
    """Starts the service's processes and ends what is left of them.

    Args:
        environment: The variables that differ from this process's; change them before you start a process.
        directory: Where the logs go.
    """

    def __init__(self, *, environment: dict[str, str], directory: Path) -> None:
        self.environment = environment
        self._directory = directory
        self._started: list[Running] = []

    def worker(self, *more: str, processes: int = 1, threads: int = 2, queues: tuple[str, ...] = ()) -> Running:
        """Start `rundramatiq`, with more options if there are any, and wait until all its processes take messages."""
        options = ["--processes", str(processes), "--threads", str(threads), "--skip-logging"]
        options += ["--queues", *queues] if queues else []
        worker = self.manage("rundramatiq", *options, *more)
        worker.wait_for("worker_ready", times=processes)
        return worker

    def scheduler(self) -> Running:
        """Start `runscheduler` and wait until its clock runs."""
        scheduler = self.manage("runscheduler")
        scheduler.wait_for("scheduler_ready")
        return scheduler

    def web(self, *, threads: int = 4) -> Running:
        """Start the web server and wait until it answers."""
        port = free_port()
        self.environment |= {"PORT": str(port), "WEB_THREADS": str(threads)}
        command = [sys.executable, "-m", "project.web.server"]
        web = self._start("web", command, url=f"http://127.0.0.1:{port}")
        eventually(lambda: _answers(f"{web.url}/livez"), timeout=START_SECONDS)
        return web

    def manage(self, *arguments: str) -> Running:
        """Start a `manage.py` command that goes on."""
        return self._start(arguments[0], [sys.executable, "manage.py", *arguments])

    def command(self, *arguments: str) -> str:
        """Run a `manage.py` command to its end, which must be a good one, and return what it printed."""
        running = self.manage(*arguments)
        eventually(lambda: running.exit_code is not None, timeout=START_SECONDS)
        assert running.exit_code == 0, running.output
        return running.output

    def end(self) -> None:
        """Kill whatever still runs and print all logs, which pytest shows when the test failed."""
        for running in self._started:
            running.kill_group()
            print(f"--- {running.name} ({running.exit_code})\n{running.output[-20_000:]}")

    def _start(self, name: str, command: list[str], *, url: str = "") -> Running:
        log = self._directory / f"{len(self._started)}-{name}.log"
        running = Running(name, command, environment={**os.environ, **self.environment}, log=log, url=url)
        self._started.append(running)
        return running


def pause(pid: int) -> None:
    """Stop a process in its tracks, as a stalled machine would."""
    os.kill(pid, signal.SIGSTOP)


def resume(pid: int) -> None:
    """Let a paused process go on."""
    os.kill(pid, signal.SIGCONT)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False

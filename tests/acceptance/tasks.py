"""Tasks of acceptance tests; what they did is in a file, which no transaction takes back.

A test makes a `Diary` and starts its worker processes with `service.environment |= diary.environment`.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.db import connection
from dramatiq import get_broker

from project.tasks import task
from project.tasks.running.context import current_run
from tests.eventually import eventually

_SOON = timedelta(milliseconds=10)


@dataclass(frozen=True)
class Diary:
    """What tasks did, in the order in which they did it.

    Args:
        directory: Where the file is, and the files that tasks wait for.
    """

    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """What worker processes must be started with."""
        return {"DIARY": str(self.directory), "DJANGO_SETTINGS_MODULE": "tests.acceptance.settings"}

    def write(self, word: str, label: str = "") -> None:
        """Add a line: the process, a word, a label."""
        with (self.directory / "diary").open("a") as lines:
            lines.write(f"{os.getpid()} {word} {label}\n")

    def read(self, word: str) -> list[str]:
        """Return the labels that were written with a word, in order."""
        return [label for _, said, label in self._lines() if said == word]

    def processes(self, word: str) -> list[int]:
        """Return which processes wrote a word, in order."""
        return [int(pid) for pid, said, _ in self._lines() if said == word]

    def allow(self, label: str) -> None:
        """Let tasks end that wait for the label."""
        (self.directory / f"{label}.go").touch()

    def is_allowed(self, label: str) -> bool:
        """Tell whether tasks that wait for the label may end."""
        return (self.directory / f"{label}.go").exists()

    def wait_until_allowed(self, *labels: str) -> None:
        """Wait for one of the labels, in short steps, so that an interrupt can arrive between two."""
        paths = [self.directory / f"{label}.go" for label in labels]
        eventually(lambda: any(path.exists() for path in paths), timeout=60, every=0.01)

    def _lines(self) -> list[list[str]]:
        path = self.directory / "diary"
        return [line.split(" ", 2) for line in path.read_text().splitlines()] if path.exists() else []


def diary() -> Diary:
    """Return the diary of the test that started this process."""
    return Diary(Path(os.environ["DIARY"]))


def _attempt() -> int:
    run = current_run()
    return run.attempt if run else 0


@task("acceptance.note")
def note(*, label: str) -> str:
    """Write the label down."""
    diary().write("noted", label)
    return label


@task("acceptance.wait", max_retries=0)
def wait(*, label: str) -> str:
    """Begin, wait to be allowed to end (all attempts, or this one alone), and end; tell which attempt that was."""
    diary().write("began", label)
    try:
        diary().wait_until_allowed(label, f"{label}-{_attempt()}")
    except BaseException as error:
        diary().write("interrupted", type(error).__name__)
        raise
    diary().write("ended", label)
    return f"attempt {_attempt()}"


@task("acceptance.wait_and_fail", min_backoff=_SOON, max_backoff=_SOON)
def wait_and_fail(*, label: str) -> str:
    """Wait to be allowed to end; fail in the first attempt."""
    diary().write("began", label)
    diary().wait_until_allowed(label)
    if _attempt() == 1:
        diary().write("failed", label)
        raise ValueError(label)
    return f"attempt {_attempt()}"


@task("acceptance.linger", max_retries=0)
def linger(*, label: str) -> str:
    """Begin and take half a second; tell which attempt that was."""
    diary().write("began", label)
    time.sleep(0.5)
    return f"attempt {_attempt()}"


@task("acceptance.crash")
def crash(*, company: int = 0) -> None:
    """Take the whole process down, as a segmentation fault does, and so many others with it if they come in time."""
    deadline = time.monotonic() + 2
    while len(diary().read("began")) < company * _attempt() and time.monotonic() < deadline:
        time.sleep(0.01)
    diary().write("crashed")
    os._exit(139)


@task("acceptance.single", max_concurrency=1)
def single(*, label: str) -> str:
    """Wait, as the only run of this task."""
    return wait(label=label)


def _write_start(word: str) -> None:
    """Write down the database's time: when the code started, for a limit that counts by that clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        diary().write(word, str(cursor.fetchone()[0]))


@task("acceptance.by_the_second", rate_limit="20/second")
def by_the_second() -> None:
    """Start twenty times in a second."""
    _write_start("second")


@task("acceptance.by_the_minute", rate_limit="600/minute")
def by_the_minute() -> None:
    """Start six hundred times in a minute."""
    _write_start("minute")


@task("acceptance.member", max_retries=0)
def member(*, number: int) -> int:
    """Take a moment."""
    time.sleep(0.01)
    return number


@task("acceptance.double")
def double(number: int) -> int:
    """Be a step of a chain."""
    diary().write("doubled", str(number))
    return 2 * number


@task("acceptance.brief", time_limit=timedelta(seconds=1))
def brief(*, label: str) -> str:
    """Wait as `wait` does, but not for long."""
    return wait(label=label)


@task("acceptance.break_thread")
def break_thread() -> None:
    """End the worker thread the way a stray time limit does: with an error where nobody expects one."""
    get_broker().work.task_done = lambda: 1 / 0  # type: ignore[attr-defined]


@task("acceptance.stuck", max_retries=0, time_limit=timedelta(seconds=1))
def stuck(*, label: str) -> None:
    """Wait where no exception arrives."""
    diary().write("began", label)
    time.sleep(600)


@task("acceptance.stuck_fast", durable=False, max_retries=0, time_limit=timedelta(seconds=1))
def stuck_fast(*, label: str) -> None:
    """Wait as `stuck` does, without a row."""
    diary().write("began", label)
    time.sleep(600)


@task("acceptance.sleep_async", max_retries=0)
async def sleep_async(*, number: int) -> int:
    """Wait for a second, and occupy nobody."""
    await asyncio.sleep(1)
    return number


@task("acceptance.linger_async", max_retries=0)
async def linger_async(*, label: str) -> str:
    """Begin, wait to be allowed to end, and end; tell which attempt that was."""
    diary().write("began", label)
    try:
        while not diary().is_allowed(label):
            await asyncio.sleep(0.02)
    except BaseException as error:
        diary().write("interrupted", type(error).__name__)
        raise
    diary().write("ended", label)
    return f"attempt {_attempt()}"


@task("acceptance.block", max_retries=0, queue="blocked")
async def block(*, label: str) -> None:
    """Block the event loop."""
    diary().write("began", label)
    time.sleep(600)


@task("acceptance.only_one", unique=True)
def only_one(*, key: str) -> None:
    """Be sent again and again, and run once."""

"""What `manage.py up` does with its programs: started in order, watched, stopped in order, never waited for in vain."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from project.up import programs as module
from project.up.programs import Program, Programs

#: A program that goes on until it is told to stop, and says then that it drains.
STAYS = "trap 'echo drained; exit 0' TERM; echo started; while :; do read line < pipe; done"
Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Return a function that runs programs to their end and returns the exit code."""
    monkeypatch.setattr(module, "_LOOK_EVERY", module._LOOK_EVERY / 10)
    os.mkfifo(tmp_path / "pipe")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield lambda *programs: Programs(programs, servers=[], locks=tmp_path, directory=tmp_path).run(greeting=["hello"])
    for number, handler in before.items():
        signal.signal(number, handler)


def program(name: str, does: str, *, drain_seconds: float = 10, is_ready: Callable[[], bool] = lambda: True) -> Program:
    return Program(name=name, command=["/bin/sh", "-c", does], drain_seconds=drain_seconds, is_ready=is_ready)


def asked_to_stop() -> bool:
    """Ask this process to stop, as somebody at a terminal does, once a program is started."""
    signal.raise_signal(signal.SIGINT)
    return True


def test_the_end_of_one_program_stops_the_others_and_is_a_failure(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = f"trap 'exit 0' TERM; touch {tmp_path}/ready; while :; do read line < pipe; done"
    stays = program("web", ready, is_ready=(tmp_path / "ready").exists)
    assert run(stays, program("worker", "echo broken; exit 3")) == 1
    said = capsys.readouterr().out
    assert "worker ended with 3; stopping everything" in said
    assert said.index("stopping web") < said.index("everything has stopped")
    assert "broken" in said


def test_a_program_is_started_only_when_the_one_before_is_ready(run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    seen: list[bool] = []

    def is_ready() -> bool:
        seen.append(second.exists())
        return first.exists()

    run(program("web", f"echo > {first}; read line < pipe", is_ready=is_ready), program("worker", f"echo > {second}"))
    assert second.exists()
    assert not any(seen)


def test_programs_stop_one_after_the_other_and_that_is_no_failure(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def drains(name: str) -> str:
        return f"trap 'echo {name} >> ended; exit 0' TERM; touch {name}; while :; do read line < pipe; done"

    web = program("web", drains("web"), is_ready=(tmp_path / "web").exists)
    worker = program("worker", drains("worker"), is_ready=(tmp_path / "worker").exists)
    assert run(web, worker, program("last", STAYS, is_ready=asked_to_stop)) == 0
    assert (tmp_path / "ended").read_text().split() == ["web", "worker"]


def test_a_program_that_does_not_drain_in_time_is_killed_with_all_it_started(run: Run, tmp_path: Path) -> None:
    stubborn = f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; touch {tmp_path}/ready; wait; wait; sleep 60"
    program_ = program("web", stubborn, drain_seconds=0.05, is_ready=(tmp_path / "ready").exists)
    assert run(program_, program("last", STAYS, drain_seconds=0, is_ready=asked_to_stop)) == 0
    child = int((tmp_path / "child").read_text())
    assert is_gone(child)


def is_gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_second_request_to_stop_cuts_the_drain_short(run: Run, tmp_path: Path) -> None:
    again = f"trap 'kill -INT {os.getpid()}' TERM; touch ready; while :; do read line < pipe; done"
    stubborn = program("web", again, drain_seconds=3600, is_ready=(tmp_path / "ready").exists)
    assert run(stubborn, program("last", STAYS, is_ready=asked_to_stop)) == 0


def test_a_request_to_stop_during_the_start_is_not_waited_out(run: Run) -> None:
    def never() -> bool:
        signal.raise_signal(signal.SIGTERM)
        return False

    assert run(program("web", STAYS, drain_seconds=0, is_ready=never)) == 0


def test_programs_go_on_when_nobody_reads_what_they_say(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = os.fdopen(writer, "w")
    monkeypatch.setattr("sys.stdout", output)
    code = run(program("web", f"echo one; echo two; touch {tmp_path}/said; exit 0"))
    with contextlib.suppress(BrokenPipeError):
        output.close()
    assert code == 1
    assert (tmp_path / "said").exists()

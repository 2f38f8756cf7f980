"""A pool of processes under its supervisor: the real one, over processes that do no work."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.eventually import eventually


@dataclass
class Pool:
    """A supervisor that a test starts, and what its processes left in a directory."""

    directory: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *options: str, processes: int = 2) -> subprocess.Popen[bytes]:
        """Start the supervisor."""
        command = [sys.executable, "-m", "project.pool.supervisor", "--json-logs", *options]
        command += ["--processes", str(processes)]
        with (self.directory / "log").open("ab") as log:
            self.started.append(
                subprocess.Popen(
                    [*command, "--", sys.executable, "-m", "tests.pool_member", str(self.directory)],
                    stderr=log,
                    start_new_session=True,
                )
            )
        return self.started[-1]

    def start_and_wait(self, *, processes: int = 2) -> subprocess.Popen[bytes]:
        """Start the supervisor and wait for its processes."""
        supervisor = self.start(processes=processes)
        self.wait_for_ready(processes)
        return supervisor

    def wait_for_ready(self, count: int) -> set[int]:
        """Wait until so many processes have ever been ready; return their ids."""
        eventually(lambda: len(self.left("ready")) >= count)
        return self.left("ready")

    def left(self, what: str) -> set[int]:
        """Return the ids of the processes that left a file of that kind."""
        return {int(path.stem) for path in self.directory.glob(f"*.{what}")}

    def heard(self, pid: int) -> list[int]:
        """Return the ids of the dead whose runs a process was told to free."""
        path = self.directory / f"{pid}.heard"
        return list(map(int, path.read_text().split())) if path.exists() else []

    def logged(self, event: str, **fields: object) -> list[dict[str, object]]:
        """Return the supervisor's log lines with an event and these fields."""
        lines = map(json.loads, (self.directory / "log").read_text().splitlines())
        return [line for line in lines if {"event": event, **fields}.items() <= line.items()]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    pool = Pool(tmp_path)
    yield pool
    for supervisor in pool.started:
        if supervisor.poll() is None:
            os.killpg(supervisor.pid, signal.SIGKILL)
            supervisor.wait()


def has_ended_when_told_again(supervisor: subprocess.Popen[bytes]) -> bool:
    supervisor.terminate()
    return supervisor.poll() is not None


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc/self").exists() else True


def test_a_process_that_dies_is_started_again_and_the_others_go_on(pool: Pool) -> None:
    pool.start_and_wait()
    victim, other = pool.left("ready")
    os.kill(victim, signal.SIGKILL)
    pool.wait_for_ready(3)
    assert lives(other)
    assert pool.logged("process_died", exit_code=-9, pid=victim, restart_in_seconds=0.0)


def test_one_that_lives_is_told_who_died(pool: Pool) -> None:
    pool.start_and_wait()
    victim, other = pool.left("ready")
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: pool.heard(other) == [victim])
    pool.wait_for_ready(3)
    assert pool.heard(other) == [victim]


def test_who_died_is_told_again_until_somebody_has_freed_its_runs(pool: Pool) -> None:
    (pool.directory / "orders").write_text("forget")
    pool.start_and_wait(processes=1)
    (first,) = pool.left("ready")
    os.kill(first, signal.SIGKILL)
    (second,) = pool.wait_for_ready(2) - {first}
    eventually(lambda: pool.heard(second) == [first])
    os.kill(second, signal.SIGKILL)
    (third,) = pool.wait_for_ready(3) - {first, second}
    eventually(lambda: pool.heard(third) == [first, second])


def test_lines_that_nobody_knows_are_told_once_and_ignored(pool: Pool) -> None:
    (pool.directory / "orders").write_text("babble")
    pool.start_and_wait()
    victim, other = pool.left("ready")
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: pool.heard(other) == [victim])
    pool.wait_for_ready(3)
    assert len(pool.logged("unknown_line_ignored", pid=other, line="ready yesterday")) == 1


def test_a_process_that_keeps_dying_is_started_again_after_longer_and_longer_pauses(pool: Pool) -> None:
    pool.start_and_wait(processes=1)
    for deaths in (1, 2, 3):
        (living,) = {pid for pid in pool.wait_for_ready(deaths) if lives(pid)}
        os.kill(living, signal.SIGKILL)
    eventually(lambda: pool.logged("process_died", restart_in_seconds=1.0))
    assert pool.logged("process_died", restart_in_seconds=0.5)


def test_a_pool_that_cannot_start_ends_with_the_reason(pool: Pool) -> None:
    (pool.directory / "orders").write_text("fail")
    assert pool.start().wait(20) == 7
    assert pool.logged("process_cannot_start", exit_code=7)


def test_sigterm_drains_every_process(pool: Pool) -> None:
    supervisor = pool.start_and_wait()
    supervisor.terminate()
    assert supervisor.wait(20) == 0
    assert len(pool.left("drained")) == 2


def test_a_second_sigterm_cuts_the_drain_short(pool: Pool) -> None:
    (pool.directory / "orders").write_text("stay")
    supervisor = pool.start_and_wait()
    supervisor.terminate()
    eventually(lambda: len(pool.left("hung up")) == 2)
    assert supervisor.poll() is None
    eventually(lambda: has_ended_when_told_again(supervisor), every=0.3)  # what comes together is one request
    assert supervisor.wait(20) == 1
    assert pool.logged("process_killed", why="told to stop a second time")


def test_signals_that_reach_the_pool_together_are_one_request_to_stop(pool: Pool) -> None:
    (pool.directory / "orders").write_text("stay")
    supervisor = pool.start_and_wait()
    # As `timeout` does it: to its child, and to the whole group.
    supervisor.terminate()
    os.killpg(supervisor.pid, signal.SIGTERM)
    eventually(lambda: len(pool.left("hung up")) == 2)
    assert supervisor.poll() is None
    assert all(lives(pid) for pid in pool.left("ready"))


def test_no_process_outlives_a_supervisor_that_is_killed(pool: Pool) -> None:
    supervisor = pool.start_and_wait()
    supervisor.kill()
    eventually(lambda: len(pool.left("drained")) == 2)
    eventually(lambda: not any(lives(pid) for pid in pool.left("ready")))


def test_sighup_replaces_one_process_after_the_other(pool: Pool) -> None:
    supervisor = pool.start_and_wait()
    first = pool.left("ready")
    supervisor.send_signal(signal.SIGHUP)

    def replaced() -> bool:
        assert sum(lives(pid) for pid in pool.left("ready")) >= 1
        return len(pool.left("ready")) == 4

    eventually(replaced)
    assert pool.left("drained") == first


def test_a_process_that_asks_for_it_is_drained_and_replaced(pool: Pool) -> None:
    (pool.directory / "orders").write_text("replace")
    pool.start(processes=1)
    pool.wait_for_ready(2)
    assert len(pool.left("drained")) == 1
    assert pool.logged("process_replaced")


def test_last_chances_get_a_process_of_their_own_that_is_drained_and_freed_with_the_others(pool: Pool) -> None:
    (pool.directory / "orders").write_text("last-chances")
    supervisor = pool.start(processes=1)
    pool.wait_for_ready(2)
    (first,) = pool.left("alone")
    (member,) = pool.left("ready") - {first}
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pool.heard(member) == [first])
    (second,) = pool.wait_for_ready(3) - {first, member}
    assert pool.left("alone") == {first, second}
    supervisor.terminate()
    assert supervisor.wait(20) == 0
    assert pool.left("drained") == {second, member}


def test_a_process_for_last_chances_that_has_ended_is_not_started_again_at_once(pool: Pool) -> None:
    (pool.directory / "orders").write_text("last-chances leave")
    pool.start(processes=1)
    eventually(lambda: pool.logged("last_chance_process_ended", exit_code=0))
    assert len(pool.left("alone")) == len(pool.left("ready")) == 1


def test_the_pid_file_is_gone_when_the_supervisor_is(pool: Pool) -> None:
    pid_file = pool.directory / "pid"
    pid_file.write_text("1")
    supervisor = pool.start("--pid-file", str(pid_file))
    pool.wait_for_ready(2)
    supervisor.terminate()
    supervisor.wait(20)
    assert not pid_file.exists()

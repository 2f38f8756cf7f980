"""What a supervisor decides about its processes, round by round, in the test's own process."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from project.pool import supervisor
from project.pool.child import Child
from project.pool.last_chance_children import LastChanceChildren
from project.pool.supervisor import Pool
from tests.children import READY, READY_WITHOUT_NAMES, REPLACE_ME, Heard, command, ended_afterwards
from tests.eventually import eventually

WORKS = command(READY, "stay()")
CANNOT_START = command("sys.exit(7)")


@pytest.fixture
def heard() -> Iterator[Heard]:
    """What the processes of a test were told."""
    heard = Heard()
    yield heard
    heard.close()


@pytest.fixture
def children(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Child]]:
    """The processes of a test's pool, ended after it; rounds are short."""
    monkeypatch.setattr(supervisor, "ROUND", supervisor.ROUND / 20)
    children: list[Child] = []
    with ended_afterwards(lambda: children):
        yield children


Start = Callable[..., Pool]


@pytest.fixture
def start(children: list[Child], heard: Heard) -> Start:
    """Return a function that starts a pool with one process for each command."""

    def start(*commands: list[str]) -> Pool:
        children.extend(Child(each, output=heard.output) for each in commands)
        for child in children:
            child.start()
        none = LastChanceChildren(CANNOT_START, output=heard.output, most=0)

        @cache
        def fork(_function: str) -> Child:
            children.append(Child(command(READY_WITHOUT_NAMES, "stay()"), output=heard.output))
            return children[-1]

        return Pool(children, last_chances=none, shutdown_timeout=10, fork=fork)

    return start


def watch_until(pool: Pool, probe: Callable[[], object]) -> None:
    """Let the pool go on, round by round, until something is true."""

    def looked() -> object:
        assert pool.watch_once() == 0
        return probe()

    eventually(looked, every=0)


def kill(child: Child, number: signal.Signals = signal.SIGKILL) -> int:
    """Kill a process, wait until it is dead and return its id."""
    os.kill(child.pid, number)
    child._process.wait()
    return child.pid


def test_processes_that_are_all_to_be_replaced_are_so_one_by_one_while_others_work(
    start: Start, children: list[Child]
) -> None:
    pool = start(WORKS, WORKS, WORKS)
    watch_until(pool, lambda: all(child.is_ready for child in children))
    first = {child.pid for child in children}
    pool._to_replace.extend(children)

    def replaced() -> bool:
        assert sum(child.is_ready for child in children) >= 2
        return not first & {child.pid for child in children if child.is_ready}

    watch_until(pool, replaced)


def test_nobody_is_drained_before_every_other_process_works(start: Start, children: list[Child]) -> None:
    pool = start(command(READY, REPLACE_ME, "stay()"), command("stay()"))
    watch_until(pool, lambda: children[0].wants_replacement)
    for _ in range(3):
        pool.watch_once()
    assert children[0].is_ready
    assert not children[0]._is_draining


def test_a_pool_whose_processes_never_worked_gives_up_with_their_exit_code(start: Start) -> None:
    pool = start(CANNOT_START)
    assert eventually(pool.watch_once, every=0) == 7


def test_a_pool_in_which_only_a_fork_function_works_gives_up_too(start: Start, children: list[Child]) -> None:
    pool = start(command(READY_WITHOUT_NAMES, "stay()"), command("sys.exit(7)"))
    assert eventually(pool.watch_once, every=0)


def test_a_function_that_every_process_names_gets_one_process_of_its_own(start: Start, children: list[Child]) -> None:
    naming = command("say('fork some.module:function')", READY, "stay()")
    pool = start(naming, naming)
    watch_until(pool, lambda: len(children) == 3 and all(child.is_ready for child in children))
    kill(children[0])
    killed = kill(children[2])
    watch_until(pool, lambda: children[2].pid != killed and all(child.is_ready for child in children))
    assert len(children) == 3


def test_a_process_that_is_killed_before_it_worked_is_started_again(start: Start, children: list[Child]) -> None:
    pool = start(command("stay()"))
    killed = kill(children[0])
    watch_until(pool, lambda: children[0].pid != killed)


def test_a_pool_that_has_worked_does_not_give_up_when_processes_cannot_start(
    start: Start, children: list[Child], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worked = tmp_path / "worked"
    pool = start(command(f"os.path.exists('{worked}') and sys.exit(7)", f"open('{worked}', 'x')", READY, "stay()"))
    watch_until(pool, lambda: children[0].is_ready)
    kill(children[0])
    watch_until(pool, lambda: [each for each in caplog.records if getattr(each, "exit_code", 0) == 7])
    assert "process_cannot_start" not in caplog.text


def test_one_process_is_told_who_died_and_that_is_one_that_takes_messages(
    start: Start, children: list[Child], heard: Heard
) -> None:
    pool = start(command(READY_WITHOUT_NAMES, "stay()"), command("stay()"), WORKS, WORKS, WORKS)
    watch_until(pool, lambda: all(child.names for child in children[2:]))
    dead = kill(children[2])
    watch_until(pool, lambda: heard.by(children[3]))
    for _ in range(3):
        pool.watch_once()
    assert [heard.by(child) for child in children] == [[], [], [], [str(dead)], []]


def test_who_died_while_nobody_works_is_told_to_the_first_that_does(
    start: Start, children: list[Child], heard: Heard
) -> None:
    pool = start(WORKS)
    watch_until(pool, lambda: children[0].names)
    dead = kill(children[0])
    watch_until(pool, lambda: heard.by(children[0]))
    assert heard.by(children[0]) == [str(dead)]


def test_a_process_that_ended_by_itself_has_nothing_to_be_freed(
    start: Start, children: list[Child], heard: Heard
) -> None:
    pool = start(WORKS, WORKS, WORKS)
    watch_until(pool, lambda: all(child.names for child in children))
    kill(children[0], signal.SIGHUP)
    dead = kill(children[1])
    watch_until(pool, lambda: heard.by(children[2]))
    assert heard.by(children[2]) == [str(dead)]


def test_what_was_freed_is_not_told_again_when_the_one_that_freed_it_dies(
    start: Start, children: list[Child], heard: Heard
) -> None:
    pool = start(WORKS, command(READY, "line = os.read(0, 99).decode().split()", "say('buried ' + line[1])", "stay()"))
    watch_until(pool, lambda: all(child.names for child in children))
    kill(children[0])
    watch_until(pool, lambda: not pool._dead)
    watch_until(pool, lambda: children[0].names)
    freed_it = kill(children[1])
    watch_until(pool, lambda: heard.by(children[0]))
    assert heard.by(children[0]) == [str(freed_it)]

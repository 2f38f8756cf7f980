"""A run on its last chance, and the others in its process."""

import threading
from collections.abc import Callable

import pytest

from project.tasks import isolation as module
from project.tasks.isolation import Isolation
from tests.eventually import eventually


class Runs:
    """Runs in threads, each of which ends when it is told to."""

    def __init__(self) -> None:
        self.isolation = Isolation()
        self.began: list[str] = []
        self._ends: dict[str, threading.Event] = {}

    def start(self, name: str, *, alone: bool = False) -> Callable[[], None]:
        """Start a run; return what ends it."""
        self._ends[name] = threading.Event()
        threading.Thread(target=self._run, args=[name, alone], daemon=True).start()
        return self._ends[name].set

    def _run(self, name: str, alone: bool) -> None:
        with self.isolation.held(alone=alone):
            self.began.append(name)
            self._ends[name].wait(10)

    def are(self, *names: str) -> bool:
        """Tell, for a moment that is long enough to be proved wrong, whether these have begun and no others."""
        eventually(lambda: len(self.began) >= len(names))
        threading.Event().wait(0.05)
        return self.began == [*names]


def test_ordinary_runs_share_the_process() -> None:
    runs = Runs()
    runs.start("one")
    eventually(lambda: runs.began)
    runs.start("two")
    assert runs.are("one", "two")


def test_one_on_its_last_chance_waits_for_the_others_and_the_next_for_it() -> None:
    runs = Runs()
    end_first = runs.start("first")
    eventually(lambda: runs.began)
    end_suspect = runs.start("suspect", alone=True)
    eventually(lambda: runs.isolation._wanted_alone)
    runs.start("next")
    assert runs.are("first")
    end_first()
    assert runs.are("first", "suspect")
    end_suspect()
    assert runs.are("first", "suspect", "next")


def test_two_on_their_last_chance_run_one_after_the_other() -> None:
    runs = Runs()
    end = runs.start("one", alone=True)
    eventually(lambda: runs.began)
    runs.start("two", alone=True)
    assert runs.are("one")
    end()
    assert runs.are("one", "two")


def test_its_patience_with_long_runs_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    runs = Runs()
    runs.start("long")
    eventually(lambda: runs.began)
    runs.start("suspect", alone=True)
    assert runs.are("long", "suspect")

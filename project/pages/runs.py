"""One's own runs, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from project.desk.own_runs import runs_caused_by
from project.names import TaskName
from project.tasks.models import TaskRun
from users.models import User

#: How long a run that has ended stays on the page of todos.
SHOWN_FOR = timedelta(minutes=2)
#: Runs on the page of todos, and on a page of runs.
MOST_SHOWN, PAGE = 3, 25
_KILO = 1000


@dataclass(frozen=True)
class RunWords:
    """How a task is called by people, and what its result comes to.

    Args:
        title: The task.
        ended: Makes a sentence of the result.
        address: Makes the address of what it leads to, from the run's id and its result.
    """

    title: str
    ended: Callable[[Any], str]
    address: Callable[[UUID, Any], str] | None = None


def _deleted(result: Any) -> str:
    count = result["todos_deleted"]
    return "1 todo deleted" if count == 1 else f"{count:,} todos deleted"


def _exported(result: Any) -> str:
    rows = "1 todo" if result["rows"] == 1 else f"{result['rows']:,} todos"
    return f"{rows} exported, {_size(result['bytes'])}"


def _size(length: int) -> str:
    """Say how long a file is, given its length in bytes."""
    size, units = float(length), ["bytes", "kB", "MB", "GB"]
    while size >= _KILO and len(units) > 1:
        size, units = size / _KILO, units[1:]
    return f"{size:.0f} {units[0]}" if units[0] == "bytes" else f"{size:.1f} {units[0]}"


def _download(run_id: UUID, result: Any) -> str:
    return reverse("export", args=[run_id]) if isinstance(result, dict) and result.get("url") else ""


WORDS: dict[str, RunWords] = {
    TaskName.REPORTS_EXPORT_TODOS: RunWords("Export todos", _exported, _download),
    TaskName.TODO_CLEANUP_FOR_USER: RunWords("Clean up completed todos", _deleted),
}
_STATES = {
    "pending": "waiting",
    "queued": "waiting",
    "running": "running",
    "retrying": "tried again soon",
    "succeeded": "done",
    "dead": "failed",
    "cancelled": "cancelled",
    "expired": "too late",
    "discarded": "failed",
}


@dataclass(frozen=True)
class RunCard:
    """A run as its page shows it.

    Args:
        id: The run.
        title: What is done.
        state: Its state.
        text: How far it is, or what it came to.
        progress: From 0 to 1, if its task tells.
        is_moving: Whether it has not ended.
        download_url: What it made, if that can be had.
    """

    id: UUID
    title: str
    state: str
    text: str
    progress: float | None
    is_moving: bool
    download_url: str

    @property
    def state_words(self) -> str:
        """Its state in one or two words."""
        return _STATES.get(self.state, self.state)

    @property
    def progress_value(self) -> str:
        """Its progress as HTML wants it, whatever the language."""
        return f"{self.progress or 0:.3f}"


def card(run: TaskRun) -> RunCard:
    """Describe a run for the person who caused it."""
    words = WORDS.get(run.task) or RunWords(run.task, str)
    succeeded = run.state == TaskRun.State.SUCCEEDED
    return RunCard(
        id=run.id,
        title=words.title,
        state=run.state,
        text=_text(run, words),
        progress=run.progress,
        is_moving=run.state in TaskRun.UNFINISHED,
        download_url=words.address(run.id, run.result) if words.address and succeeded else "",
    )


def recent_runs(user: User) -> list[RunCard]:
    """Return the runs that somebody on the page of todos waits for, or has just waited for."""
    runs = runs_caused_by(user.pk).filter(task__in=list(WORDS), created_at__gt=Now() - timedelta(days=1))
    lately = timezone.now() - SHOWN_FOR
    shown = [run for run in runs.order_by("-id")[:PAGE] if run.finished_at is None or run.finished_at > lately]
    return cards(shown[:MOST_SHOWN])


def cards(runs: Iterable[TaskRun]) -> list[RunCard]:
    """Describe runs."""
    return [card(run) for run in runs]


def _text(run: TaskRun, words: RunWords) -> str:
    when = timezone.localtime(run.created_at).strftime("%d %b, %H:%M")
    if run.state == TaskRun.State.SUCCEEDED:
        return f"{_said(words, run.result)} · {when}"
    if run.state in {TaskRun.State.DEAD, TaskRun.State.DISCARDED}:
        return f"It failed and is not tried again; we have been told. · {when}"
    if run.state == TaskRun.State.RETRYING:
        return f"The last try failed; the next one comes by itself. · {when}"
    return f"{run.progress_note} · {when}" if run.progress_note else when


def _said(words: RunWords, result: Any) -> str:
    try:
        return words.ended(result)
    except (KeyError, TypeError, ValueError):  # a result of another release
        return "Done"

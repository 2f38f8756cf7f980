"""Calls that are stored and not executed yet, and whether they fit the code of this checkout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from project.tasks.declaration import declaration_of
from project.tasks.errors import TaskError
from project.tasks.models import TaskBatch, TaskRun

#: Rows that are read at a time.
_CHUNK = 2000


@dataclass(frozen=True, kw_only=True)
class StoredCall:
    """A task and its arguments, wherever they are kept.

    Args:
        where: What an operator looks for, such as `run <id>`.
        task: The task's name.
        arguments: Its arguments by name; None if they are known only later, as in a chain.
    """

    where: str
    task: str
    arguments: Mapping[str, Any] | None

    def misfit(self) -> str | None:
        """Say why this checkout could not execute it, or None if it can."""
        try:
            task = declaration_of(self.task)
            if self.arguments is not None:
                task.signature.to_json((), self.arguments)
        except TaskError as error:
            return str(error)
        return None


def misfits() -> Iterator[tuple[StoredCall, str]]:
    """Yield each stored call that this checkout could not execute, and why."""
    for path in settings.TASKS_STORED_CALLS:
        source: Callable[[], Iterable[StoredCall]] = import_string(path)
        for call in source():
            reason = call.misfit()
            if reason is not None:
                yield call, reason


def of_runs() -> Iterator[StoredCall]:
    """Yield the call of each unfinished run, and the steps that a chain would send after it."""
    columns = ("id", "task", "arguments", "next_steps")
    runs = TaskRun.objects.filter(state__in=TaskRun.UNFINISHED).values_list(*columns).order_by()
    for run_id, task, arguments, next_steps in runs.iterator(chunk_size=_CHUNK):
        yield StoredCall(where=f"run {run_id}", task=task, arguments=arguments)
        for step in next_steps:
            yield StoredCall(where=f"run {run_id}, next step", task=step["task"], arguments=None)


def of_batches() -> Iterator[StoredCall]:
    """Yield the callbacks of each batch that has not ended."""
    for batch in TaskBatch.objects.filter(finished_at=None).iterator(chunk_size=_CHUNK):
        for name, call in (("then", batch.then), ("on_failure", batch.on_failure)):
            if call is not None:
                yield StoredCall(where=f"batch {batch.id}, {name}", task=call["task"], arguments=call["arguments"])

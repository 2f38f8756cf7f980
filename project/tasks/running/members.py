"""What became of the members of a batch, in the order of the calls: for its callback and for whoever waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from project.tasks.declaration import Declaration, declaration_of
from project.tasks.errors import PermanentError, TaskArgumentError, TaskFailed
from project.tasks.models import TaskBatch, TaskRun
from project.tasks.outcome import Members, Outcome
from project.values.ids import number_of, series_of
from project.values.text import error_text

_COLUMNS = ("id", "task", "state", "result", "error_type", "error")


def with_outcomes(task: Declaration, arguments: dict[str, Any]) -> dict[str, Any]:
    """Put what became of the members in the place of what was stored for them.

    Args:
        task: The callback's task.
        arguments: Its arguments, as `TaskSignature.from_json` returned them.

    Raises:
        PermanentError: If it was sent by itself, so that there are no members, or if the batch was pruned.
        TaskArgumentError: If a member's result is not what the callback asks for.
    """
    for name, of in task.signature.outcomes.items():
        members = arguments.get(name)
        if isinstance(members, Members):
            if members.batch is None:
                raise PermanentError(f"There are no outcomes for {name!r}: send it as the callback of a batch.")
            arguments[name] = _outcomes(members.batch, partial(_fitting, task, of))
    return arguments


def outcomes_of_batch(batch_id: UUID) -> list[Outcome[Any]]:
    """Return what became of a batch's members, in the order of the calls.

    Raises:
        PermanentError: If there is no such batch.
        UnknownTaskError: If a member's task is not known here.
    """
    return _outcomes(batch_id, lambda run: declaration_of(run.task).signature.result_from_json(run.result))


def _outcomes(batch_id: UUID, read: Callable[[TaskRun], Any]) -> list[Outcome[Any]]:
    total = TaskBatch.objects.filter(id=batch_id).values_list("total", flat=True).first()
    if total is None:
        raise PermanentError(f"Nobody knows what became of the members of batch {batch_id}: it was pruned.")
    runs = list(TaskRun.objects.filter(batch=batch_id).order_by("id").only(*_COLUMNS))
    by_id = {run.id: run for run in runs}
    return [_outcome(run_id, by_id.get(run_id), read) for run_id in _ids(list(by_id), total=total)]


def _ids(left: list[UUID], *, total: int) -> Iterator[UUID]:
    """Yield the id of each member, those included whose rows are gone."""
    series = {series_of(run_id) for run_id in left}
    if len(series) != 1 or number_of(left[-1]) >= total:
        # Nothing is left that tells the ids of the others, or a former release has sent them: those sort by time.
        yield from left
        yield from (UUID(int=0) for _ in range(total - len(left)))
    else:
        (first,) = series
        yield from (UUID(int=first + number) for number in range(total))


def _outcome(run_id: UUID, run: TaskRun | None, read: Callable[[TaskRun], Any]) -> Outcome[Any]:
    if run is None:
        gone = "its row was pruned, so nobody knows what became of it"
        return Outcome(run_id=run_id, error=TaskFailed(run_id=run_id, state="pruned", reason=gone))
    if run.state == TaskRun.State.SUCCEEDED:
        return Outcome(run_id=run_id, result=read(run))
    reason = error_text(run.error_type, run.error)
    return Outcome(run_id=run_id, error=TaskFailed(run_id=run_id, state=run.state, reason=reason))


def _fitting(task: Declaration, of: TypeAdapter[Any], run: TaskRun) -> Any:
    try:
        return of.validate_python(run.result)
    except ValidationError as error:
        raise TaskArgumentError(task.name, [(str(run.id), f"{run.task} returned something else: {error}")]) from None

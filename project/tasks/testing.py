"""For authors of tasks: prove that a task may run more than once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import async_to_sync
from django.apps import apps
from django.db import connection, models, transaction

from project.tasks.actor import Task

_WRITE = re.compile(r"\s*(INSERT|UPDATE|DELETE|MERGE|TRUNCATE|COPY|WITH)\b", re.IGNORECASE)
_UNWINDING = re.compile(r"\s*(ROLLBACK|RELEASE|SAVEPOINT)\b", re.IGNORECASE)

State = Any


class Crashed(BaseException):
    """Raised in a task in the place of its process's death."""


@dataclass
class _Writes:
    """Lets a task write so many times to the database, and nothing after that.

    Args:
        allowed: How many times; None for as often as it likes.
    """

    allowed: int | None = None
    seen: int = 0
    last: str = ""

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Execute one statement of the task."""
        if _UNWINDING.match(sql):
            return execute(sql, params, many, context)
        self._stop_after_the_last()
        result = execute(sql, params, many, context)
        if _WRITE.match(sql):
            self.seen, self.last = self.seen + 1, sql
            self._stop_after_the_last()
        return result

    def _stop_after_the_last(self) -> None:
        if self.allowed is not None and self.seen >= self.allowed:
            raise Crashed(self.last)


def assert_idempotent(task: Task[..., Any], *, snapshot: Callable[[], State] | None = None, **arguments: Any) -> None:
    """Assert that a task ends in the same state if it runs twice, and if it crashes after any write and runs again.

    Needs a test that may use the database; whatever the task does to it is taken back. A crash is an exception
    right after the write, and nothing that the task does then reaches the database: open transactions are rolled
    back, what was written outside of one stays.

    Args:
        task: The task.
        snapshot: Returns what is compared; by default all rows of the task's app, without their generated keys and
            without what a default function or the clock fills in.
        arguments: The task's arguments by name.

    Raises:
        AssertionError: Saying after which write a crash changes the outcome, and how.
        TaskArgumentError: If the arguments do not fit the task.
    """
    task.check_arguments((), arguments)
    look = snapshot or (lambda: rows_of_app(task))
    once = _Writes()
    expected = _state_after(task, arguments, [once], look)
    _compare("Run twice, it ends", expected, _state_after(task, arguments, [_Writes(), _Writes()], look))
    for number in range(1, once.seen + 1):
        crash = _Writes(allowed=number)
        repaired = _state_after(task, arguments, [crash, _Writes()], look)
        _compare(f"Run again after a crash behind write {number} ({crash.last[:120]}), it ends", expected, repaired)


def rows_of_app(task: Task[..., Any]) -> dict[str, list[str]]:
    """Return the rows of all tables of the app that a task's function is defined in.

    Raises:
        LookupError: If that is not an app; pass a snapshot then.
    """
    app = apps.get_containing_app_config(task.signature.fn.__module__)
    if app is None:
        raise LookupError(f"{task.signature.fn.__module__} is in no app: pass a snapshot of what the task changes.")
    return {model._meta.label: _rows(model) for model in app.get_models(include_auto_created=True)}


def _state_after(
    task: Task[..., Any], arguments: dict[str, Any], runs: list[_Writes], look: Callable[[], State]
) -> State:
    """Run a task once for each limit of writes, in a transaction that is rolled back, and return the end state."""
    with _sandbox():
        for writes in runs:
            _run(task, arguments, writes)
        return look()


@contextmanager
def _sandbox() -> Iterator[None]:
    atomic = transaction.atomic()
    # Marked as Django marks those around its own tests, so that a task may ask for a durable transaction in it.
    atomic._from_testcase = True  # type: ignore[attr-defined]
    with atomic:
        yield
        transaction.set_rollback(True)


def _run(task: Task[..., Any], arguments: dict[str, Any], writes: _Writes) -> None:
    function = task.signature.fn
    call = async_to_sync(function) if iscoroutinefunction(function) else function
    try:
        with connection.execute_wrapper(writes):
            call(**task.signature.from_json(task.signature.to_json((), arguments)))
    except Crashed:
        if writes.allowed is None:
            raise


def _rows(model: type[models.Model]) -> list[str]:
    names = [field.attname for field in model._meta.concrete_fields if not _is_filled_in(field)]
    return sorted(map(repr, model._default_manager.values(*names)))


def _is_filled_in(field: models.Field[Any, Any]) -> bool:
    by_clock = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    return by_clock or isinstance(field, models.AutoField) or callable(field.default)


def _compare(what: str, expected: State, found: State) -> None:
    if found != expected:
        raise AssertionError(f"{what} in another state than run once.\nonce: {expected}\nnow:  {found}")

"""System checks over the declared tasks, so that a forgotten or impossible one is named before it is sent."""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_args

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.db import models

from project.names import TaskName
from project.tasks.actor import Task
from project.tasks.declaration import Declaration, all_declarations, declared_twice
from project.tasks.errors import TaskDefinitionError

_DOTTED = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


@register("tasks")
def check_tasks(**_: Any) -> list[CheckMessage]:
    """Check every declared task."""
    registered = set(_registered())
    messages = [message for name in declared_twice() for message in _check_twice(name)]
    for task in all_declarations().values():
        messages.extend(_check_name(task))
        messages.extend(_check_registered(task, registered))
        messages.extend(_check_signature(task))
    return messages


def _registered() -> list[Declaration]:
    registry = import_module(settings.TASKS_REGISTRY).registry
    return [value.declaration for _, value in inspect.getmembers(registry) if isinstance(value, Task)]


def _check_twice(name: str) -> Iterator[CheckMessage]:
    where = ", ".join(declared_twice()[name])
    yield Error(
        f"Task {name!r} is declared {len(declared_twice()[name])} times: {where}.",
        hint="Give each task a name of its own in project/names.py.",
        id="tasks.E001",
    )


def _check_name(task: Declaration) -> Iterator[CheckMessage]:
    if not _DOTTED.fullmatch(task.name):
        yield Error(
            f"Task name {task.name!r} is not lower-case words joined by dots.",
            hint="Write it like 'todo.cleanup'.",
            obj=_where(task),
            id="tasks.E002",
        )
    elif task.name not in set(TaskName):
        yield Error(
            f"Task name {task.name!r} is not a member of TaskName.",
            hint="Add it to project/names.py, the list of names that messages carry.",
            obj=_where(task),
            id="tasks.E003",
        )


def _check_registered(task: Declaration, registered: set[Declaration]) -> Iterator[CheckMessage]:
    if task not in registered:
        yield Error(
            f"Task {task.name!r} is declared but not in the registry.",
            hint=f"Add one line to {settings.TASKS_REGISTRY.replace('.', '/')}.py.",
            obj=_where(task),
            id="tasks.E004",
        )


def _check_signature(task: Declaration) -> Iterator[CheckMessage]:
    models_in = [name for name, hint in task.signature.hints.items() if _names_a_model(hint)]
    if models_in:
        yield Error(
            f"Task {task.name!r} has a model instance in its signature: {', '.join(models_in)}.",
            hint="Pass the row's id and read the row in the task: it may have changed by then.",
            obj=_where(task),
            id="tasks.E005",
        )
        return
    try:
        task.signature.check()
    except TaskDefinitionError as error:
        yield Error(str(error), hint="Use types that pydantic can turn into JSON.", obj=_where(task), id="tasks.E006")


def _names_a_model(hint: Any) -> bool:
    if isinstance(hint, type):
        return issubclass(hint, models.Model)
    return any(_names_a_model(part) for part in get_args(hint))


def _where(task: Declaration) -> str:
    return f"{task.signature.fn.__module__}.{task.signature.fn.__qualname__}"

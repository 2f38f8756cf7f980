"""Keys: functions of a call's arguments that say which runs exclude each other or share a limit."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from project.tasks.errors import TaskDefinitionError
from project.values.storable import storable

#: In characters, as the columns have them.
LONGEST_KEY: Final = 200
#: What is kept of one that is longer; a digest of the whole follows.
_KEPT: Final = 100


def call_key(function: Callable[..., object], arguments: Mapping[str, Any]) -> str:
    """Call a key function with those of a call's arguments that it has parameters for.

    Args:
        function: The function.
        arguments: The call's arguments, by name.
    """
    names = _names(function)
    given = arguments if names is None else {name: arguments[name] for name in names if name in arguments}
    return str(function(**given))


def scoped_key(task: str, key: str) -> str:
    """Return the key of one task as it is stored; another one for each key, however long.

    Args:
        task: The task's name.
        key: What its function returned.
    """
    scoped = f"{task}:{key}"
    return scoped if storable(scoped, LONGEST_KEY) == scoped else f"{storable(scoped, _KEPT)}…{digest(scoped)}"


def digest(text: str) -> str:
    """Return 32 characters that tell texts apart."""
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:32]


def check_key(function: Callable[..., object], *, option: str, task: str, of: inspect.Signature) -> None:
    """Check that a key function can be called with the arguments of each call.

    Args:
        function: The function.
        option: What the option is called.
        task: The task's name.
        of: The signature of the task's function.

    Raises:
        TaskDefinitionError: If it cannot.
    """
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or parameter.default is not _NONE:
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY or name not in of.parameters:
            raise TaskDefinitionError(
                f"{option} of task {task!r} asks for {name!r}; the task takes {', '.join(of.parameters) or 'nothing'}."
            )
        if of.parameters[name].default is not _NONE:
            raise TaskDefinitionError(
                f"{option} of task {task!r} asks for {name!r}, which a call may leave out: give it a default there too."
            )


_NONE: Final = inspect.Parameter.empty


@lru_cache(maxsize=1000)
def _names(function: Callable[..., object]) -> tuple[str, ...] | None:
    """Return the names of a function's parameters; None if it takes any."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return tuple(parameter.name for parameter in parameters)

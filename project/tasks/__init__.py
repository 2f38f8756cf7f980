"""The front door: what authors of tasks, their callers and their tests need, as in `from project.tasks import task`.

What it has is listed in `__init__.pyi`, once: type checkers read that, and so does this module. Each name is loaded
when it is first asked for, because Django imports this package before there may be models.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any, Final

_STUB: Final = ast.parse(Path(__file__).with_suffix(".pyi").read_text())
_IMPORTS: Final = [statement for statement in _STUB.body if isinstance(statement, ast.ImportFrom)]
_MODULES: Final = {alias.name: str(statement.module) for statement in _IMPORTS for alias in statement.names}


def __getattr__(name: str) -> Any:
    """Load one of the names that the stub lists.

    Raises:
        AttributeError: If it lists none of that name.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(_MODULES)

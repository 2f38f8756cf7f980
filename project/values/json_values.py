"""Values as JSON that the database can keep and that reads back as what it was."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, from_json

#: What JSON text holds if something in it could not be kept; `null`, because that is what pydantic makes of NaN.
_SUSPICIOUS = re.compile(rb"null|NaN|Infinity|\\u0000")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NUL: Final = "PostgreSQL cannot store text with a NUL character"
_SURROGATE: Final = "it is not valid Unicode: it has a lone surrogate"
_NO_NUMBER: Final = "JSON has no NaN and no infinity"

#: Python reads no number of more digits.
_LONGEST_NUMBER: Final = 4300

Path = tuple[Any, ...]


class UnstorableError(ValueError):
    """A value has no JSON that the database could keep.

    Args:
        path: Where it is, from the outside in.
        reason: What is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{'.'.join(map(str, path))}: {reason}" if path else reason)


def json_of(adapter: TypeAdapter[Any], value: Any) -> bytes:
    """Return a validated value as JSON text.

    Args:
        adapter: Its type.
        value: The value.

    Raises:
        UnstorableError: If PostgreSQL could not keep it, or it would not read back as what it is.
        ValueError: If it is nothing that JSON knows.
    """
    try:
        text = adapter.dump_json(value)
    except PydanticSerializationError:
        _refuse_flaws(adapter, value, b"")
        raise
    # One search instead of a walk: most values are fine, and this is done for each send and each result.
    if value is not None and _SUSPICIOUS.search(text):
        _refuse_flaws(adapter, value, text)
    if len(text) > _LONGEST_NUMBER:
        from_json(text)
    return text


def _refuse_flaws(adapter: TypeAdapter[Any], value: Any, text: bytes) -> None:
    plain = adapter.dump_python(value)
    for path, reason in _flaws(plain):
        if reason is not _NO_NUMBER or not _reads_back(adapter, plain, text):
            raise UnstorableError(path, reason)


def _reads_back(adapter: TypeAdapter[Any], plain: Any, text: bytes) -> bool:
    """Tell whether a model has a JSON of its own for numbers like NaN."""
    try:
        return repr(adapter.dump_python(adapter.validate_json(text))) == repr(plain)
    except ValueError:
        return False


def _flaws(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        found = _UNSTORABLE.search(value)
        if found:
            yield path, _NUL if found[0] == "\x00" else _SURROGATE
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield path, _NO_NUMBER
    else:
        for name, inside in _parts(value):
            yield from _flaws(name, path)
            yield from _flaws(inside, (*path, name))


def _parts(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list | tuple | set | frozenset) else ()

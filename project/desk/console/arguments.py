"""Readers of what is written at the command line; each refuses what makes no sense, and says what does."""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from project.values.fields import LONGEST

_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def argument(text: str) -> tuple[str, Any]:
    """Read one `name=value`; a value that starts like a JSON object, list or text, or is null, is read as JSON.

    Everything else stays text, which the task's signature turns into numbers and times.

    Raises:
        ArgumentTypeError: If it has no name, or is not the JSON it looks like.
    """
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ArgumentTypeError(f"{text!r} is not an argument: write name=value")
    if value != "null" and not value.startswith(("{", "[", '"')):
        return name, value
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise ArgumentTypeError(f"{name}: {error}") from None


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArgumentTypeError: If it is not a JSON object.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"that is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ArgumentTypeError('that is not a JSON object: write {"name": value, …}')
    return value


def duration(text: str) -> timedelta:
    """Read a duration such as `90s`, `15m`, `2h` or `7d`.

    Raises:
        ArgumentTypeError: If it is not a duration, or longer than a hundred years.
    """
    match = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is not a duration: write one such as 90s, 15m, 2h or 7d")
    return _bounded(int(match[1]) * _UNITS[match[2]])


def days(text: str) -> int:
    """Read a number of days.

    Raises:
        ArgumentTypeError: If it is not a number, or negative, or a hundred years and more.
    """
    return _bounded(timedelta(days=whole_number(text))).days


def _bounded(length: timedelta) -> timedelta:
    if length > LONGEST:
        raise ArgumentTypeError("that is longer than 100 years")
    return length


def whole_number(text: str) -> int:
    """Read a number.

    Raises:
        ArgumentTypeError: If it is not a number, or negative.
    """
    if not re.fullmatch(r"\d{1,6}", text):
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def run_id(text: str) -> UUID:
    """Read the id of a run, a batch or a bulk retry.

    Raises:
        ArgumentTypeError: If it is not such an id.
    """
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not the id of a run") from None

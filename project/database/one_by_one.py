"""Doing something for each of many, where one that fails must not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")


def one_by_one(what: str, each: Iterable[T], do: Callable[[T], int]) -> int:
    """Do something for each, also for those after one that failed; return the sum of what was done.

    Args:
        what: What one of them is called.
        each: What to do it for.
        do: Returns a number; leaves no transaction open.

    Raises:
        ExceptionGroup: At the end, if some could not be done; it names the first and holds all errors.
        django.db.Error: At once, if the database has gone away.
    """
    done, failed = 0, []
    errors: list[Exception] = []
    for one in each:
        try:
            done += do(one)
        except Exception as error:
            if isinstance(error, (OperationalError, InterfaceError)) and not connection.is_usable():
                raise
            failed.append(one)
            errors.append(error)
    if errors:
        reason = f"{type(errors[0]).__name__}: {errors[0]}".strip()
        raise ExceptionGroup(f"{what} {failed[0]}: {reason}", errors)
    return done

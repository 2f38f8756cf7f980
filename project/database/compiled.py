"""Queries that Django compiles once, for what every request asks: compiling takes longer than PostgreSQL's answer.

Of `GET /v1/users/me`, finding the user took 0.55 ms of CPU, and takes 0.1 so.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import cached_property
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from project.database.prepared_statements import run_prepared


def given(name: str) -> RawSQL:
    """Return what stands in a query for a value that each use of it gives anew."""
    return RawSQL(f"%({name})s", ())  # noqa: S611 - names of ours, never what somebody sent


class CompiledQuery:
    """A query with named values.

    Args:
        make: Returns it, with `given` in the place of each value and with `values_list`; called once, at its first use.
        around: SQL to put it into, at `{}`, such as one with a limit that is a named value.
    """

    def __init__(self, make: Callable[[], QuerySet[Any, Any]], *, around: str = "{}") -> None:
        self._make = make
        self._around = around

    def rows(self, **values: object) -> list[tuple[Any, ...]]:
        """Return the rows.

        Args:
            values: Its values by name.

        Raises:
            django.db.Error: As for any query.
        """
        return run_prepared(self._sql, values)

    @cached_property
    def _sql(self) -> str:
        sql, others = self._make().query.sql_with_params()
        if others:
            raise ValueError(f"These values are neither named nor part of the text: {others}")
        return self._around.format(sql)


def columns_of(model: type[Model], *, only: Container[str] | None = None) -> list[str]:
    """Return the names of a model's columns in the order that `Model.from_db` wants.

    Args:
        model: Whose.
        only: Which of them, if not all; the others are read when they are asked for.
    """
    names = [field.attname for field in model._meta.concrete_fields]
    return names if only is None else [name for name in names if name in only]

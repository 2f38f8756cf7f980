"""A user's todos, some thousand at a time, so that memory stays flat however many there are."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.models import F, Func, TextField
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan

from todo.models import Todo

#: Of 1.2 kB each at most, so that a page is some megabytes.
PAGE = 5_000


class Row(NamedTuple):
    """A todo, by the names that a file gives its columns; times are UTC, as ISO 8601.

    PostgreSQL writes them: to make times of what it says, and text of those, took over half of an export's CPU.
    """

    id: int
    title: str
    description: str
    completed: bool
    due_at: str | None
    created_at: str
    updated_at: str


def read_todos(*, user_id: int) -> Iterator[list[Row]]:
    """Read a user's todos, newest first, each page as it is at that moment.

    Each page begins where the one before ended, which an index finds: no cursor stays open meanwhile, which a pooler
    would not keep, and no transaction, which would keep dead rows from being vacuumed.
    """
    ahead = todos = Todo.objects.filter(user=user_id).order_by("-created_at", "-id")
    while page := [Row._make(values) for values in ahead.values_list(*_COLUMNS)[:PAGE]]:
        yield page
        last = datetime.fromisoformat(page[-1].created_at), page[-1].id
        ahead = todos.filter(TupleLessThan(Tuple(F("created_at"), F("id")), last))


class _Iso(Func):
    """A time as ISO 8601, in UTC."""

    template = """to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""
    output_field = TextField()


_COLUMNS = [_Iso(F(name)) if name.endswith("_at") else F(name) for name in Row._fields]


def count_todos(*, user_id: int) -> int:
    """Return how many todos a user has."""
    return Todo.objects.filter(user=user_id).count()


def has_more_than(count: int, *, user_id: int) -> bool:
    """Tell whether a user has more todos than that, without counting all of them."""
    return Todo.objects.filter(user=user_id).order_by()[count : count + 1].exists()

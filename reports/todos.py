"""A user's todos, some thousand at a time, so that memory stays flat however many there are."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.models import F
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan

from todo.models import Todo

#: Of 1.2 kB each at most, so that a page is some megabytes.
PAGE = 5_000


class Row(NamedTuple):
    """A todo, by the names that a file gives its columns."""

    id: int
    title: str
    description: str
    completed: bool
    due_at: datetime | None
    created_at: datetime
    updated_at: datetime


def read_todos(*, user_id: int) -> Iterator[list[Row]]:
    """Read a user's todos, newest first, each page as it is at that moment.

    Each page begins where the one before ended, which an index finds: no cursor stays open meanwhile, which a pooler
    would not keep, and no transaction, which would keep dead rows from being vacuumed.
    """
    ahead = todos = Todo.objects.filter(user=user_id).order_by("-created_at", "-id")
    while page := [Row._make(values) for values in ahead.values_list(*Row._fields)[:PAGE]]:
        yield page
        last = page[-1]
        ahead = todos.filter(TupleLessThan(Tuple(F("created_at"), F("id")), (last.created_at, last.id)))


def count_todos(*, user_id: int) -> int:
    """Return how many todos a user has."""
    return Todo.objects.filter(user=user_id).count()


def has_more_than(count: int, *, user_id: int) -> bool:
    """Tell whether a user has more todos than that, without counting all of them."""
    return Todo.objects.filter(user=user_id).order_by()[count : count + 1].exists()

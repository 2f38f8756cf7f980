"""Which todos somebody looks at, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from todo import services
from todo.models import Todo
from users.models import User

#: Todos on one page.
PAGE = 25
_SHOWN = {"all": None, "open": False, "done": True}
_LONGEST_SEARCH = 200
#: Of a number in an address.
_MOST_DIGITS = 9


@dataclass(frozen=True)
class View:
    """Which of the todos somebody looks at.

    Args:
        show: `all`, `open` or `done`.
        q: What the title or the description contains.
        page: From 0.
        edit: The todo that is being edited.
    """

    show: str = "all"
    q: str = ""
    page: int = 0
    edit: int | None = None

    @classmethod
    def of(cls, query: QueryDict) -> View:
        """Read an address; what it does not say plainly is as it is at first."""
        show = query.get("show", "")
        page, edit = query.get("page", ""), query.get("edit", "")
        return cls(
            show=show if show in _SHOWN else "all",
            q=query.get("q", "").strip()[:_LONGEST_SEARCH],
            page=int(page) if _is_number(page) else 0,
            edit=int(edit) if _is_number(edit) else None,
        )

    @property
    def query(self) -> str:
        """Its address's query, without what is edited."""
        named = {"show": self.show if self.show != "all" else "", "q": self.q, "page": self.page or ""}
        return urlencode({name: value for name, value in named.items() if value})

    @property
    def url(self) -> str:
        """Its address."""
        return _address(self.query)

    @property
    def editing(self) -> str:
        """Its address with one todo being edited, up to that one's number."""
        return f"{reverse('todos')}?{self.query}{'&' if self.query else ''}edit="

    def todos(self, user: User) -> QuerySet[Todo]:
        """Return those todos, on all pages together."""
        return services.find_todos(user=user, completed=_SHOWN[self.show], words=self.q)


class DueWords(NamedTuple):
    """When a todo is due.

    Args:
        text: In words.
        urgency: `late`, `due` today, or nothing.
    """

    text: str
    urgency: str


def tabs(view: View) -> list[dict[str, Any]]:
    """Return the ways to other states of the same search."""
    labels = {"all": "All", "open": "Open", "done": "Done"}
    return [
        {"show": show, "label": label, "url": View(show, view.q).url, "is_shown": show == view.show}
        for show, label in labels.items()
    ]


def due_words(todo: Todo, *, now: datetime) -> DueWords | None:
    """Say when a todo is due, as short as it stays clear."""
    if todo.due_at is None:
        return None
    due = timezone.localtime(todo.due_at)
    days = (due.date() - now.date()).days
    day = {-1: "Yesterday", 0: "Today", 1: "Tomorrow"}.get(days, f"{due:%a} {due.day} {due:%b}")
    year = f" {due.year}" if due.year != now.year else ""
    urgency = "" if todo.completed else "late" if due <= now else "due" if days < 1 else ""
    return DueWords(f"{day}{year}, {due:%H:%M}", urgency)


def pager(view: View, *, count: int) -> dict[str, Any]:
    """Return which of `count` todos are on the page, and the ways to its neighbours."""
    first = view.page * PAGE
    return {
        "newer": View(view.show, view.q, view.page - 1).url if view.page else "",
        "older": View(view.show, view.q, view.page + 1).url if count > first + PAGE else "",
        "first": first + 1,
        "last": min(first + PAGE, count),
        "count": count,
    }


def _address(query: str) -> str:
    return f"{reverse('todos')}?{query}" if query else reverse("todos")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS

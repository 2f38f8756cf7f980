"""Who or what sends a task: recorded on its run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse

from project.values.storable import storable

#: In characters, as the column has them.
_LONGEST_REQUEST_ID = 64

Source = Literal["api", "admin", "schedule", "task", "command", "code"]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a task was sent.

    Args:
        source: The kind of caller.
        user_id: The signed-in user, if there is one.
        request_id: The HTTP request's id, or the one that an earlier run was sent under.
        schedule: The schedule's name, for a tick.
        parent_id: The run that sent this one.
    """

    source: Source = "code"
    user_id: int | None = None
    request_id: str = ""
    schedule: str = ""
    parent_id: UUID | None = None

    def __post_init__(self) -> None:
        plain = self.request_id.isascii() and self.request_id.isprintable()
        if not plain or len(self.request_id) > _LONGEST_REQUEST_ID:
            object.__setattr__(self, "request_id", storable(self.request_id, _LONGEST_REQUEST_ID))


_NOBODY = Cause()
_cause: ContextVar[Cause | HttpRequest] = ContextVar("cause", default=_NOBODY)


@contextmanager
def caused_by(cause: Cause | HttpRequest) -> Iterator[None]:
    """Record `cause` on every run sent inside the block."""
    token = _cause.set(cause)
    try:
        yield
    finally:
        _cause.reset(token)


def current_cause() -> Cause:
    """Return the cause that a run sent now would carry."""
    cause = _cause.get()
    return cause if isinstance(cause, Cause) else _cause_of(cause)


def child_of(cause: Cause, *, run_id: UUID) -> Cause:
    """Return the cause of what the run `run_id` itself sends: same user and request."""
    return Cause(source="task", user_id=cause.user_id, request_id=cause.request_id, parent_id=run_id)


def _cause_of(request: HttpRequest) -> Cause:
    # Read late: the API authenticates inside the view, after the middleware has run.
    user = getattr(request, "user", None)
    source: Source = "admin" if request.path.startswith(_admin_prefix()) else "api"
    return Cause(source=source, user_id=getattr(user, "pk", None), request_id=getattr(request, "id", ""))


def _admin_prefix() -> str:
    try:
        return reverse("admin:index")
    except NoReverseMatch:
        return "/admin/"


class CauseMiddleware:
    """Make the request the cause of what is sent while it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        with caused_by(request):
            return self.get_response(request)

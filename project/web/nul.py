"""Refuse the NUL character before anything looks it up: PostgreSQL has no text with it, and raises."""

from collections.abc import Callable, Iterator
from itertools import chain

from django.http import HttpRequest, HttpResponseBadRequest, QueryDict
from django.http.response import HttpResponseBase

from project.web.errors import API_PREFIX, refuse_fields

_REASON = "must not contain NUL characters"


class NulMiddleware:
    """Answer 400 to an address, a query or a form with a NUL character in it; the API says 422.

    What comes as JSON is left to the types of its fields.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        is_api = request.path.startswith(API_PREFIX)
        where = "path" if "\0" in request.path else "query" if _has_nul(request.GET) else ""
        if is_api and where:
            return refuse_fields([{"type": "value_error", "loc": [where], "msg": _REASON}])
        if where or (not is_api and _has_nul(request.POST)):
            return HttpResponseBadRequest(f"What was sent {_REASON}.", content_type="text/plain")
        return self._get_response(request)


def _has_nul(sent: QueryDict) -> bool:
    return any("\0" in text for text in _texts(sent))


def _texts(sent: QueryDict) -> Iterator[str]:
    return chain.from_iterable((name, *values) for name, values in sent.lists())

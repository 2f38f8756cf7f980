"""Give every request an id and write one line about it."""

import re
import time
from collections.abc import Callable
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponseBase

_PLAUSIBLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_log = structlog.get_logger("project.requests")


class RequestLogMiddleware:
    """Bind `request_id` to the log context, answer with it as `X-Request-ID`, and log the request.

    An id that came with the request is kept when it looks like one, so that one id can follow a
    request through several services.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request inside its own log context."""
        started = time.perf_counter()
        request_id = _request_id(request)
        structlog.contextvars.clear_contextvars()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self._get_response(request)
            response["X-Request-ID"] = request_id
            _log.info(
                "request",
                method=request.method,
                path=request.path,
                status=response.status_code,
                milliseconds=round((time.perf_counter() - started) * 1000, 1),
            )
        return response


def current_request_id() -> str:
    """Return the id of the request being answered, or an empty string outside one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def _request_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    return given if _PLAUSIBLE_ID.fullmatch(given) else uuid4().hex

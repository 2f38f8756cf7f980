"""One id and one log line for every request."""

import re
import time
from collections.abc import Callable
from uuid import uuid4

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase

#: What a proxy in front may choose; anything else could forge log lines or swell rows.
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
log = structlog.get_logger("project.requests")


class RequestLogMiddleware:
    """Set `request.id`, bind it to the log lines, return it as `X-Request-ID`, and log the request.

    An id that came with the request is kept, so that one id follows it through several services. The
    line has neither the query nor headers nor the body. What is bound to the log lines while the request is
    answered, such as who signed it, is not to be found on what the thread logs later.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request under its id."""
        started = time.perf_counter()
        offered = request.headers.get("X-Request-ID", "")
        request_id = offered if _ACCEPTABLE_ID.fullmatch(offered) else uuid4().hex
        request.id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            response = self._get_response(request)
            response["X-Request-ID"] = request_id
            log.info(
                "request",
                method=request.method,
                path=request.path,
                status=response.status_code,
                milliseconds=round((time.perf_counter() - started) * 1000, 1),
            )
        finally:
            structlog.contextvars.clear_contextvars()
        return response

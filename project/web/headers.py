"""What every answer says besides its content: what a browser may do with it, and how long it is."""

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

#: Only our own files: no script or style stands in a page, and no other host is asked.
_POLICY = {
    "default-src": "'self'",
    "img-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
_UNUSED = ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone",
           "midi", "payment", "usb")  # fmt: skip
#: Set unless the answer has its own.
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {sources}" for name, sources in _POLICY.items()),
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _UNUSED),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class HeadersMiddleware:
    """Set the headers above on every answer, whichever middleware it comes from, and the length.

    Without a length the web server would have to close the connection to show where the answer ends.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        response = self._get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if isinstance(response, HttpResponse) and "Content-Length" not in response:
            response.headers["Content-Length"] = str(len(response.content))
        if _is_debug_page(response):
            del response.headers["Content-Security-Policy"]
        return response


def _is_debug_page(response: HttpResponseBase) -> bool:
    """Tell whether this is one of the pages with which Django explains an error to a developer."""
    is_html = response.headers.get("Content-Type", "").startswith("text/html")
    return settings.DEBUG and is_html and response.status_code >= HTTPStatus.BAD_REQUEST

"""Answer the probes before anything else can get in their way."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from project.health.views import livez, readyz

PROBES: dict[str, Callable[[HttpRequest], HttpResponseBase]] = {"/livez": livez, "/readyz": readyz}


class ProbeMiddleware:
    """Answer `/livez` and `/readyz` whatever the `Host` header says and over plain HTTP.

    Orchestrators ask by IP address and without TLS, which `ALLOWED_HOSTS` and the redirect to
    HTTPS would refuse.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a probe, or pass the request on."""
        probe = PROBES.get(request.path)
        return probe(request) if probe else self._get_response(request)

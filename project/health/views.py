"""What load balancers and people ask: are you alive, are you ready?"""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from project.health.probes import readiness


@never_cache
@require_safe
def livez(_request: HttpRequest) -> JsonResponse:
    """Answer as long as this process can answer at all; depends on nothing else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 when everything behind this process works, or 503 naming what fails; alarms do not make it fail."""
    now = readiness()
    if now.failing:
        return _unavailable(failing=now.failing)
    return JsonResponse({"status": "ok", "alarms": now.alarms} if now.alarms else {"status": "ok"})


@never_cache
@require_safe
def health(_request: HttpRequest) -> JsonResponse:
    """Answer like `readyz`, for anybody and without details."""
    return _unavailable() if readiness().failing else JsonResponse({"status": "ok"})


def _unavailable(**details: object) -> JsonResponse:
    response = JsonResponse({"detail": "Service is unavailable", **details}, status=503)
    # Django would log an error for each probe of a load balancer, on top of what already logs the failure itself.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response

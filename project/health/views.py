"""What load balancers and people ask: are you alive, are you ready?"""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from project.health.probes import failing_probes

UNAVAILABLE = "Service is unavailable"


@never_cache
@require_safe
def livez(_request: HttpRequest) -> JsonResponse:
    """Answer as long as this process can answer at all; depends on nothing else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 when everything behind this process works, or 503 naming what fails."""
    failing = failing_probes()
    if failing:
        return JsonResponse({"detail": UNAVAILABLE, "failing": failing}, status=503)
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def health(_request: HttpRequest) -> JsonResponse:
    """Answer like `readyz`, for anybody and without details."""
    if failing_probes():
        return JsonResponse({"detail": UNAVAILABLE}, status=503)
    return JsonResponse({"status": "ok"})

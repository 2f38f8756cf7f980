"""The page behind the link in a digest with which one stops it: for people, and for mail programs (RFC 8058)."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from notifications.errors import ExpiredLinkError, NotificationsError
from notifications.subscriptions import unsubscribe, user_of_token


# A mail program posts from anywhere, and whoever has the link may: the token in it is the permission.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe_page(request: HttpRequest) -> HttpResponse:
    """Ask whether to stop the digest, and stop it when that is posted: programs that only look follow links, too."""
    try:
        user_id = user_of_token(request.GET.get("token", ""))
    except NotificationsError as error:
        status = HTTPStatus.GONE if isinstance(error, ExpiredLinkError) else HTTPStatus.BAD_REQUEST
        return render(request, "notifications/unsubscribe.html", {"error": error}, status=status)
    if request.method == "POST":
        unsubscribe(user_id)
    return render(request, "notifications/unsubscribe.html", {"is_done": request.method == "POST"})

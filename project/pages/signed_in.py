"""Who may see a page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

if TYPE_CHECKING:
    from users.models import User


def member(request: HttpRequest) -> User:
    """Return who is signed in."""
    return cast("User", request.user)


def member_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Show a page to whoever is signed in, and to nobody from a cache; others are led to the sign-in."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *arguments, **options)
        # What was posted is lost with the redirect, so the way back leads to a page.
        return redirect_to_login(request.get_full_path() if request.method == "GET" else resolve_url("todos"))

    return guarded


def way_back(request: HttpRequest, *, otherwise: str = "todos") -> str:
    """Return where a form wants to lead afterwards, if that is an address of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    # What has no slash is the name of a view to Django, and a server error if there is none.
    return wanted if is_ours and wanted.startswith("/") else resolve_url(otherwise)


def refused(request: HttpRequest, *, title: str, text: str, status: int) -> HttpResponse:
    """Say on a page of its own why something was not done."""
    return render(request, "pages/refused.html", {"title": title, "text": text}, status=status)

"""The admin's pages on which passwords are typed, with the limits that the API has."""

import math
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from project.web.client_address import client_address
from project.web.throttle import Window, network, sign_in_limit
from users.errors import TooManyGuessesError
from users.guessing import begin_guess

#: Shared with the API's: there is one budget for both doors.
SIGN_INS = Window("token", limit=sign_in_limit)
SIGN_UPS = Window("sign-up", limit=sign_in_limit)
PASSWORD_CHANGES = Window("password-change", limit=sign_in_limit)


class LoginForm(AdminAuthenticationForm):
    """Counts each attempt for its account."""

    def clean(self) -> dict[str, Any]:
        """Check the password, unless there were too many attempts.

        Raises:
            TooManyGuessesError: If there were.
        """
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not username or not password:
            return super().clean()
        guess = begin_guess(username, address=client_address(self.request) if self.request else None)
        cleaned = super().clean()
        guess.was_right()
        return cleaned


def sign_in(request: HttpRequest) -> HttpResponse:
    """Show Django's sign-in page, so many times a minute."""
    return _limited(request, SIGN_INS, network(request), admin.site.login)


def change_password(request: HttpRequest) -> HttpResponse:
    """Show Django's page on which people change their own password: the old one can be guessed there too."""
    return _limited(request, PASSWORD_CHANGES, str(request.user.pk), admin.site.password_change)


@never_cache
def _limited(
    request: HttpRequest, window: Window, key: str, page: Callable[[HttpRequest], HttpResponse]
) -> HttpResponse:
    wait = window.hit(key) if request.method == "POST" else None
    if wait is not None:
        return _come_back(request, wait)
    try:
        return page(request)
    except TooManyGuessesError as error:
        return _come_back(request, error.wait)


def _come_back(request: HttpRequest, wait: float) -> HttpResponse:
    seconds = math.ceil(wait)
    context = {**admin.site.each_context(request), "title": "Too many attempts", "seconds": seconds}
    response = render(request, "admin/too_many_attempts.html", context, status=429)
    response["Retry-After"] = str(seconds)
    return response

"""Sign up, sign in, sign out; limited as the API is, and within the same budget."""

from __future__ import annotations

import math
from http import HTTPStatus

from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from project.pages.forms import PageForm, SignInForm, SignUpForm
from project.pages.signed_in import refused, way_back
from project.web.client_address import client_address
from project.web.throttle import network
from users import services, signing_up
from users.errors import TakenError, TooManyGuessesError, UnauthenticatedError, WeakPasswordError
from users.models import User
from users.pages import SIGN_INS, SIGN_UPS

#: Whom Django asks whether a browser's user is still good: the one that signs people in.
_BACKEND = "django.contrib.auth.backends.ModelBackend"


@sensitive_post_parameters("password")
@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """Ask for name and password."""
    if request.user.is_authenticated:
        return redirect(way_back(request))
    form = SignInForm(request.POST or None)
    if request.method == "POST":
        if (wait := SIGN_INS.hit(network(request))) is not None:
            return too_often(request, wait)
        try:
            user = _signing_in(request, form)
        except TooManyGuessesError as error:
            return too_often(request, error.wait)
        if user is not None:
            return _enter(request, user)
    return _ask(request, form, title="Sign in")


@sensitive_post_parameters("password")
@never_cache
def sign_up(request: HttpRequest) -> HttpResponse:
    """Ask for what a new user needs."""
    if request.user.is_authenticated:
        return redirect("todos")
    form = SignUpForm(request.POST or None)
    if request.method == "POST":
        if (wait := SIGN_UPS.hit(network(request))) is not None:
            return too_often(request, wait)
        user = _signing_up(form)
        if user is not None:
            return _enter(request, user)
    return _ask(request, form, title="Sign up")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End this browser's session."""
    logout(request)
    return redirect("todos")


def too_often(request: HttpRequest, wait: float) -> HttpResponse:
    """Say how long to wait."""
    seconds = math.ceil(wait)
    text = f"There were too many attempts. Wait {seconds} second{'' if seconds == 1 else 's'}, then try again."
    response = refused(request, title="Too many attempts", text=text, status=HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = str(seconds)
    return response


def _signing_in(request: HttpRequest, form: SignInForm) -> User | None:
    if not form.is_valid():
        return None
    try:
        return services.user_with_password(**form.cleaned_data, address=client_address(request))
    except UnauthenticatedError:
        form.add_error(None, "That name and password do not belong together. Passwords are case-sensitive.")
        return None


def _signing_up(form: SignUpForm) -> User | None:
    if not form.is_valid():
        return None
    try:
        return signing_up.sign_up(**form.cleaned_data)
    except WeakPasswordError as error:
        form.add_error("password", str(error))
    except TakenError as error:
        form.add_error("username" if "name" in str(error) else "email", f"{error}.")
    return None


def _enter(request: HttpRequest, user: User) -> HttpResponse:
    login(request, user, backend=_BACKEND)
    return redirect(way_back(request))


def _ask(request: HttpRequest, form: PageForm | SignUpForm, *, title: str) -> HttpResponse:
    context = {"form": form, "title": title, "is_sign_up": title == "Sign up", "next": way_back(request)}
    return render(request, "pages/entrance.html", context)

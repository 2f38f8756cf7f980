"""One's account: name, e-mail address, password, the digest, and where one is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters

from project.pages.entrance import too_often
from project.pages.forms import PasswordForm, ProfileForm
from project.pages.signed_in import member, member_page
from users import services, sessions
from users.errors import SessionNotFoundError, TakenError
from users.models import User
from users.pages import PASSWORD_CHANGES


@dataclass(frozen=True)
class Part:
    """One form of the page.

    Args:
        name: What its button sends.
        title: Its heading.
        button: What its button says.
        form: The form.
    """

    name: str
    title: str
    button: str
    form: ProfileForm | PasswordForm


@sensitive_post_parameters()
@member_page
def account(request: HttpRequest) -> HttpResponse:
    """Show the account; change the part of it that was sent."""
    if request.method != "POST":
        return _show(request)
    if request.POST.get("part") == "password":
        return _change_password(request)
    return _change_profile(request)


@member_page
def end_session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Sign an app out."""
    if request.method == "POST":
        try:
            sessions.revoke_session(session_id, user=member(request))
            messages.success(request, "Signed out there.")
        except SessionNotFoundError:
            messages.error(request, "That app is not signed in any more.")
    return redirect("account")


@member_page
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    """End every session of this user, this browser's included."""
    if request.method != "POST":
        return redirect("account")
    services.sign_out_everywhere(member(request))
    logout(request)
    messages.success(request, "You are signed out everywhere.")
    return redirect("sign-in")


def _change_profile(request: HttpRequest) -> HttpResponse:
    # A user of its own: the form writes into it what may then be refused, and the page shows who is signed in.
    form = ProfileForm(request.POST, instance=User.objects.get(pk=member(request).pk))
    if form.is_valid():
        try:
            services.update_profile(user_id=member(request).pk, changes=form.cleaned_data)
        except TakenError as error:
            form.add_error("email", f"{error}.")
        else:
            messages.success(request, "Saved.")
            return redirect("account")
    return _show(request, profile=form)


def _change_password(request: HttpRequest) -> HttpResponse:
    if (wait := PASSWORD_CHANGES.hit(str(member(request).pk))) is not None:
        return too_often(request, wait)
    form = PasswordForm(member(request), request.POST)
    if not form.is_valid():
        return _show(request, password=form)
    # The database ends every other session with the password.
    update_session_auth_hash(request, form.save())
    messages.success(request, "Your password is changed. Apps have to sign in again.")
    return redirect("account")


def _show(
    request: HttpRequest, *, profile: ProfileForm | None = None, password: PasswordForm | None = None
) -> HttpResponse:
    user = member(request)
    parts = [
        Part("profile", "About you", "Save", profile or ProfileForm(instance=user)),
        Part("password", "Password", "Change password", password or PasswordForm(user)),
    ]
    context = {"parts": parts, "sessions": sessions.list_sessions(user=user)}
    return render(request, "pages/account.html", context)

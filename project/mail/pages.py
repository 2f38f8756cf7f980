"""The mails that were written to files, as a page for developers."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.cache import never_cache

from project.mail.files import MOST_LISTED, read_mail, read_mails


@never_cache
def list_mails(request: HttpRequest) -> HttpResponse:
    """List the newest mails; for staff who may view users, whose letters these are."""
    _require_look(request)
    return _page(request, "mail/mails.html", title="Mails", mails=read_mails(), most=MOST_LISTED)


@never_cache
def show_mail(request: HttpRequest, name: str) -> HttpResponse:
    """Show one mail, its HTML as it is written."""
    _require_look(request)
    try:
        mail = read_mail(name)
    except FileNotFoundError:
        raise Http404("There is no such mail.") from None
    return _page(request, "mail/mail.html", title=mail.headers.get("Subject", name), mail=mail)


def _require_look(request: HttpRequest) -> None:
    if not request.user.has_perm("users.view_user"):
        raise PermissionDenied


def _page(request: HttpRequest, template: str, **context: object) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})


#: For the admin's address; there is no such page where mails are sent.
urlpatterns: list[URLPattern] = [
    path("", admin.site.admin_view(list_mails), name="mails"),
    path("<slug:name>/", admin.site.admin_view(show_mail), name="mail"),
]

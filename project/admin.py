"""What the admins of all apps have in common."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.checks import CheckMessage
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver


class Site(admin.AdminSite):
    """The admin site, which loads the apps' admins once its addresses or checks are asked for.

    Workers and most commands never do, and start a third of a second sooner.
    """

    def get_urls(self) -> list[URLResolver | URLPattern]:
        """Return the addresses of all admins."""
        admin.autodiscover()
        return super().get_urls()

    def check(self, app_configs: Sequence[AppConfig] | None) -> list[CheckMessage]:
        """Check all admins."""
        admin.autodiscover()
        return super().check(app_configs)


class CarefulAdmin(admin.ModelAdmin):
    """An admin that answers what makes no sense, but never with a server error."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Make the list of an address.

        Raises:
            IncorrectLookupParameters: If its filters make no sense, such as a year that no date has; Django then
                shows the list without them.
        """
        try:
            return super().get_changelist_instance(request)
        except (OverflowError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list under its own name: "Select … to change" is not what most people come for."""
        title = str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title} | (extra_context or {}))

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *further: Any) -> HttpResponse | None:
        """Do what was chosen to the rows that were selected.

        Raises:
            BadRequest: If what was selected cannot be a row's key.
        """
        for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.to_python(key)
            except ValidationError as error:
                raise BadRequest(f"No row has the key {key[:100]!r}.") from error
        return super().response_action(request, queryset, *further)

    def row(self, request: HttpRequest, key: str) -> Any:
        """Return the row with a key.

        Raises:
            Http404: If there is none, or none can have such a key.
        """
        row = self.get_object(request, key)
        if row is None:
            raise Http404(f"No {self.opts.verbose_name} has this key; its row may have been deleted.")
        return row


class UneditableAdmin(CarefulAdmin):
    """An admin of rows that only code writes: people look at them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds a row by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody edits a row."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes a row; pruning does."""
        return False

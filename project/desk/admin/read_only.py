"""What the admins of this app have in common: rows to look at, and who may do more than look."""

from typing import Any, ClassVar, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from project.admin import UneditableAdmin
from project.desk import permissions
from project.tasks.repair.audit import Operator

#: No list is paged further than this: counting and skipping millions of rows takes seconds.
MOST_PAGED = 10_000


class BoundedPaginator(Paginator):
    """Counts, and so pages, up to `MOST_PAGED` rows."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, or the bound if there are more."""
        rows = cast("QuerySet[Any]", self.object_list)
        return rows[:MOST_PAGED].count()


class ReadOnlyAdmin(UneditableAdmin):
    """Shows rows that only processes and the operations write, in pages that stay fast at millions of rows."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by: ClassVar[Any] = ()
    list_per_page = 50
    list_max_show_all = 0

    class Media:
        css: ClassVar = {"all": ("tasks/tasks.css",)}
        js = ("tasks/refresh.js",)

    def page(self, request: HttpRequest, title: str, **context: Any) -> dict[str, Any]:
        """Return the context of a page of this admin."""
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "media": self.media,
        } | context


def may_repair(request: HttpRequest) -> bool:
    """Tell whether the user may retry, discard and cancel runs, and pause queues."""
    return permissions.may_repair(request.user)


def may_look(request: HttpRequest) -> bool:
    """Tell whether the user may look at runs."""
    return permissions.may_look(request.user)


def require_repair(request: HttpRequest) -> Operator:
    """Return who acts.

    Raises:
        PermissionDenied: If they may not.
    """
    if not may_repair(request):
        raise PermissionDenied
    return Operator(request.user.get_username(), "admin")


def require_look(request: HttpRequest) -> None:
    """Let only those pass who may look at runs.

    Raises:
        PermissionDenied: If they may not.
    """
    if not may_look(request):
        raise PermissionDenied

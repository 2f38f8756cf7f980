"""Users and their sessions in the admin."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db import models
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from project.admin import CarefulAdmin
from project.values.fields import InstantField
from users.models import RefreshSession, User
from users.pages import LoginForm
from users.sessions import revoke_sessions

admin.site.login_form = LoginForm


@admin.register(User)
class UserAdmin(CarefulAdmin, DjangoUserAdmin):
    """Django's own, so that passwords are hashed, with the e-mail address asked for from the start."""

    list_display = ("username", "email", "is_active", "is_staff", "date_joined")
    date_hierarchy = "date_joined"
    fieldsets = (
        *(DjangoUserAdmin.fieldsets or ()),
        ("Mail", {"fields": ("weekly_digest", "welcomed_at", "digest_week")}),
    )
    readonly_fields = ("welcomed_at", "digest_week")
    formfield_overrides: ClassVar[Any] = {models.DateTimeField: {"form_class": InstantField}}
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "email", "usable_password", "password1", "password2")}),
    )


class StateFilter(admin.SimpleListFilter):
    """Active sessions, or those that are over."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Name the choices."""
        return [("active", "Active"), ("ended", "Expired or revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RefreshSession]) -> QuerySet[RefreshSession]:
        """Apply the choice."""
        active = Q(revoked_at=None, expires_at__gt=timezone.now())
        return {"active": queryset.filter(active), "ended": queryset.exclude(active)}.get(self.value() or "", queryset)


@admin.register(RefreshSession)
class RefreshSessionAdmin(CarefulAdmin):
    """Who is signed in from where; to look at, and to end."""

    list_display = ("user", "active", "ip_address", "created_at", "last_used_at", "user_agent")
    list_filter = (StateFilter,)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email", "ip_address", "user_agent")
    date_hierarchy = "created_at"
    exclude = ("family_hash", "token_hash")
    actions = ("revoke",)

    @admin.display(boolean=True)
    def active(self, session: RefreshSession) -> bool:
        """Show whether the session's newest token is still good."""
        return session.is_active

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Say who may end sessions; asked by Django before the action is shown or run."""
        return request.user.has_perm("users.change_refreshsession")

    @admin.action(description="Revoke selected sessions", permissions=["revoke"])
    def revoke(self, request: HttpRequest, selected: QuerySet[RefreshSession]) -> None:
        """Sign the clients out: neither their refresh nor their access tokens are good any more."""
        active = list(selected.filter(revoked_at=None))
        revoke_sessions(RefreshSession.objects.filter(pk__in=[session.pk for session in active]))
        for session in active:
            self.log_change(request, session, "Revoked")
        self.message_user(request, f"{len(active)} session{'' if len(active) == 1 else 's'} revoked.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Sessions come from sign-ins only."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Sessions are history."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Sessions go with their user, whose page asks for this permission too, but not one by one."""
        page = request.resolver_match.url_name if request.resolver_match else None
        return not (page or "").startswith("users_refreshsession_") and super().has_delete_permission(request, obj)

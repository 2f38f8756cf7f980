"""Users and their sessions in the admin."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.http import HttpRequest

from users.models import RefreshSession, User


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Django's own, so that passwords are hashed, with the e-mail address asked for from the start."""

    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login", "date_joined")
    date_hierarchy = "date_joined"
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "email", "usable_password", "password1", "password2")}),
    )


@admin.register(RefreshSession)
class RefreshSessionAdmin(admin.ModelAdmin):
    """Who is signed in from where; to look at only."""

    list_display = ("id", "user", "ip_address", "user_agent", "last_used_at", "expires_at", "revoked_at", "active")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email", "ip_address", "user_agent")
    date_hierarchy = "created_at"
    exclude = ("family_hash", "token_hash")

    @admin.display(boolean=True)
    def active(self, session: RefreshSession) -> bool:
        """Show whether the session's newest token is still good."""
        return session.is_active

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

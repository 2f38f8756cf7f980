"""Todos in the admin, and the buttons that send their cleanup."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from project.admin import CarefulAdmin
from project.names import TaskName
from project.values.fields import InstantField
from todo import editing, services
from todo.errors import DueTimeError
from todo.models import Todo
from todo.tasks import cleanup, cleanup_for_user
from users.admin import UserAdmin
from users.models import User

_SHOWN_USERS = 20


class TodoForm(forms.ModelForm):
    """A todo; another due time than it has must lie ahead."""

    def clean_due_at(self) -> datetime | None:
        """Check the due time as the API does."""
        due_at: datetime | None = self.cleaned_data["due_at"]
        try:
            services.move(self.instance, due_at=due_at)
        except DueTimeError as error:
            raise forms.ValidationError(str(error)) from error
        return due_at


@admin.register(Todo)
class TodoAdmin(CarefulAdmin):
    """Todos, with a button that sends the cleanup of all users."""

    form = TodoForm
    formfield_overrides: ClassVar[Any] = {models.DateTimeField: {"form_class": InstantField}}
    list_display = ("title", "user", "completed", "due_at", "created_at", "updated_at")
    readonly_fields = ("reminded_at",)
    list_filter = ("completed", "created_at")
    list_select_related = ("user",)
    search_fields = ("title", "user__username")
    autocomplete_fields = ("user",)
    date_hierarchy = "created_at"
    show_full_result_count = False

    def get_urls(self) -> list[URLPattern]:
        """Add the button's page."""
        clean_up = path("cleanup/", self.admin_site.admin_view(self.clean_up), name="todo_todo_cleanup")
        return [clean_up, *super().get_urls()]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Todo | None:
        """Return a todo; locked if it is to be changed, so that no reminder is sent between this and that."""
        todo: Todo | None = super().get_object(request, object_id, from_field)
        if todo is None or request.method != "POST":
            return todo
        return Todo.objects.select_for_update().filter(pk=todo.pk).first()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a todo and plan its reminder, in the transaction of the page."""
        super().save_model(request, obj, form, change)
        editing.plan_reminder(obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete a todo and its reminder."""
        editing.cancel_reminder(obj.reminder_id)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Todo]) -> None:
        """Delete the selected todos and their reminders."""
        for run_id in queryset.exclude(reminder_id=None).values_list("reminder_id", flat=True):
            editing.cancel_reminder(run_id)
        super().delete_queryset(request, queryset)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the button to those who may press it."""
        context = {"may_clean_up": self.has_delete_permission(request), **(extra_context or {})}
        return super().changelist_view(request, context)

    def clean_up(self, request: HttpRequest) -> HttpResponse:
        """Ask whether to clean up; send the task when that is confirmed."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return _show_runs(request, [cleanup.send().run_id], otherwise="admin:todo_todo_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": "Run cleanup now",
            "opts": self.opts,
            "to_delete": services.count_completed(),
        }
        return TemplateResponse(request, "admin/todo/todo/confirm_cleanup.html", context)


admin.site.unregister(User)


@admin.register(User)
class UserWithTodosAdmin(UserAdmin):
    """Users, with an action that sends the cleanup of those selected."""

    actions = ("clean_up_completed_todos",)

    def has_clean_up_permission(self, request: HttpRequest) -> bool:
        """Say whether the user may delete todos; asked by Django before the action is shown or run."""
        return request.user.has_perm("todo.delete_todo")

    @admin.action(description="Clean up completed todos", permissions=["clean_up"])
    def clean_up_completed_todos(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse:
        """Ask whether to clean up for these users; send a task for each when that is confirmed."""
        active = users.filter(is_active=True).order_by("username")
        if "confirmed" in request.POST:
            calls = [cleanup_for_user.call(user_id=user_id) for user_id in active.values_list("pk", flat=True)]
            runs = [message.run_id for message in cleanup_for_user.send_many(calls)]
            return _show_runs(request, runs, otherwise="admin:users_user_changelist")
        count = active.count()
        context = {
            **self.admin_site.each_context(request),
            "title": "Clean up completed todos",
            "opts": self.opts,
            "users": active.annotate(to_delete=Count("todos", filter=Q(todos__completed=True)))[:_SHOWN_USERS],
            "more": max(0, count - _SHOWN_USERS),
            "inactive": users.count() - count,
            # With "select all" on, what is not on the page is found by the filter again.
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/todo/todo/confirm_cleanup_for_users.html", context)


def _show_runs(request: HttpRequest, runs: Sequence[UUID], *, otherwise: str) -> HttpResponse:
    """Go to the run that was sent, or where it came from if there is not just one or it may not be seen."""
    if not request.user.has_perm("tasks.view_taskrun"):
        messages.success(request, f"Sent {len(runs)} cleanup(s).")
        return redirect(otherwise)
    if len(runs) == 1:
        messages.success(request, "The cleanup was sent; this is its run. Reload the page to see how it goes on.")
        return redirect("admin:tasks_taskrun_change", runs[0])
    address = f"{reverse('admin:tasks_taskrun_changelist')}?q={TaskName.TODO_CLEANUP_FOR_USER}"
    messages.success(request, format_html('Sent {} cleanups: <a href="{}">see their runs</a>.', len(runs), address))
    return redirect(otherwise)

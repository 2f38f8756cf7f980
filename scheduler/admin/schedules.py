"""Schedules that an operator can edit while they run."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.html import format_html

from project.admin import CarefulAdmin
from project.tasks import Cause, TaskError
from project.tasks.models import TaskRun
from project.tasks.repair.audit import Operator
from scheduler import changes
from scheduler.admin.columns import last_tick, next_fire, overrides, reads, run_link, state
from scheduler.admin.forms import ScheduleForm
from scheduler.admin.previewing import previewed
from scheduler.crontab import time_zones
from scheduler.models import Schedule, Tick
from scheduler.sync import is_declared


@admin.register(Schedule)
class ScheduleAdmin(CarefulAdmin):
    """Create, edit, switch and run schedules; every change takes effect within seconds, without a restart."""

    form = ScheduleForm
    list_display = ("name", state, "enabled", reads, next_fire, last_tick, "task")
    list_filter = ("enabled", "task")
    search_fields = ("name", "task", "cron")
    show_facets = admin.ShowFacets.NEVER
    actions = ("enable", "disable", "run_now", "reset_overrides")
    readonly_fields: ClassVar[Any] = (next_fire, last_tick, overrides, "error")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "task", "arguments")}),
        ("When", {"fields": ("cron", "time_zone", "enabled")}),
        ("When a tick is late", {"fields": ("misfire", "max_lateness")}),
        ("Now", {"fields": (next_fire, last_tick, overrides, "error")}),
    )

    class Media:
        js = ("scheduler/preview.js",)
        css: ClassVar = {"all": ("scheduler/preview.css", "scheduler/wide_list.css")}

    def get_urls(self) -> list[URLPattern]:
        """Add the preview, and the buttons of the change page."""
        wrap = self.admin_site.admin_view
        return [
            path("preview/", wrap(self.preview), name="scheduler_schedule_preview"),
            path("<uuid:key>/run/", wrap(self.run_one), name="scheduler_schedule_run"),
            path("<uuid:key>/reset/", wrap(self.reset_one), name="scheduler_schedule_reset"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        """Read each schedule's last tick along with it."""
        latest = Tick.objects.filter(schedule=OuterRef("pk")).order_by("-fire_time")
        annotations = {f"last_{name}": Subquery(latest.values(name)[:1]) for name in ("outcome", "run_id")}
        schedules: QuerySet[Schedule] = super().get_queryset(request)
        state = TaskRun.objects.filter(id=OuterRef("last_run_id")).values("state")
        return schedules.annotate(**annotations).annotate(last_run_state=Subquery(state))

    def get_readonly_fields(self, request: HttpRequest, obj: Schedule | None = None) -> tuple[Any, ...]:
        """A declared schedule keeps its name, by which code knows it."""
        return (*self.readonly_fields, "name") if obj is not None and is_declared(obj) else self.readonly_fields

    def get_fieldsets(self, request: HttpRequest, obj: Schedule | None = None) -> Any:
        """A new schedule has no past."""
        return self.fieldsets if obj is not None else self.fieldsets[:-1]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Give the page what its buttons and suggestions need."""
        context = {"time_zones": sorted(time_zones()), "may_run": self.has_run_permission(request)}
        return super().changeform_view(request, object_id, form_url, context | (extra_context or {}))

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        """Write only what was edited: the clock may have moved the row on since it was read."""
        if change:
            changes.change(obj, fields=form.changed_data, by=_operator(request))
        else:
            changes.create(obj, by=_operator(request))

    def delete_model(self, request: HttpRequest, obj: Schedule) -> None:
        """Delete a schedule; its ticks stay."""
        self.delete_queryset(request, Schedule.objects.filter(id=obj.id))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Delete schedules; their ticks stay."""
        changes.delete(queryset, by=_operator(request))

    # What people may do

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether this person may send a schedule's task now."""
        return request.user.has_perm("scheduler.run_schedule")

    def has_delete_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        """A declared schedule would come back; disable it, or remove it from the code."""
        return super().has_delete_permission(request, obj) and not (obj is not None and is_declared(obj))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Refuse the deletion of declared schedules in the list's action too."""
        deleted, counts, missing, protected = super().get_deleted_objects(objs, request)
        declared = [f"{schedule}: declared in code; disable it instead" for schedule in objs if is_declared(schedule)]
        return deleted, counts, missing, [*protected, *declared]

    @admin.action(description="Enable selected schedules", permissions=["change"])
    def enable(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> None:
        """Let them fire from now on; nothing that was missed is made up for."""
        self._switch(request, schedules, enabled=True)

    @admin.action(description="Disable selected schedules", permissions=["change"])
    def disable(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> None:
        """Stop them."""
        self._switch(request, schedules, enabled=False)

    def _switch(self, request: HttpRequest, schedules: QuerySet[Schedule], *, enabled: bool) -> None:
        word = "enabled" if enabled else "disabled"
        changed = changes.switch(schedules, enabled=enabled, by=_operator(request))
        for schedule in changed:
            self.log_change(request, schedule, word)
        self.message_user(request, f"{len(changed)} schedule{'' if len(changed) == 1 else 's'} {word}.")

    @admin.action(description="Run selected schedules now", permissions=["run"])
    def run_now(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> None:
        """Send their tasks now, whatever their fire times."""
        for schedule in schedules:
            self._send(request, schedule)

    @admin.action(description="Reset what was changed against the code", permissions=["change"])
    def reset_overrides(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> None:
        """Give declared schedules back to the code."""
        for schedule in schedules:
            self._reset(request, schedule)

    # Pages

    def preview(self, request: HttpRequest) -> JsonResponse:
        """The reading and the next fire times of what is being typed, as JSON."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return JsonResponse(previewed(request.GET.get("cron", ""), request.GET.get("time_zone", "")))

    def run_one(self, request: HttpRequest, key: Any) -> HttpResponse:
        """The button "Run now"."""
        return self._press(request, key, self.has_run_permission(request), self._send)

    def reset_one(self, request: HttpRequest, key: Any) -> HttpResponse:
        """The button "Reset to the code"."""
        return self._press(request, key, self.has_change_permission(request), self._reset)

    def _press(
        self,
        request: HttpRequest,
        key: Any,
        may: bool,
        act: Callable[[HttpRequest, Schedule], None],
    ) -> HttpResponse:
        if not may:
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        act(request, get_object_or_404(Schedule, id=key))
        return redirect("admin:scheduler_schedule_change", key)

    def _send(self, request: HttpRequest, schedule: Schedule) -> None:
        cause = Cause(source="admin", user_id=request.user.pk, schedule=schedule.name)
        try:
            message = changes.run_now(schedule, cause=cause, by=_operator(request))
        except (TaskError, TypeError) as error:
            self.message_user(request, f"Schedule {schedule}: {error}", messages.ERROR)
            return
        self.log_change(request, schedule, "run now")
        link = run_link(Tick(run_id=message.run_id))
        self.message_user(request, format_html("The task of {} was sent: {}", schedule.name, link))

    def _reset(self, request: HttpRequest, schedule: Schedule) -> None:
        overridden = changes.reset(schedule, by=_operator(request))
        if overridden:
            self.log_change(request, schedule, f"reset to the code: {', '.join(overridden)}")
        what = ", ".join(overridden) or "nothing was changed"
        self.message_user(request, f"Schedule {schedule} follows the code again: {what}.")


def _operator(request: HttpRequest) -> Operator:
    return Operator(request.user.get_username(), "admin")

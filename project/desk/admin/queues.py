"""Paused queues in the admin, and the buttons that pause and resume."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from project.desk.admin.elements import moment
from project.desk.admin.forms import PauseForm, ReasonForm
from project.desk.admin.read_only import ReadOnlyAdmin, may_repair, require_repair
from project.desk.admin.repair import CONFIRM
from project.tasks.models import PausedQueue
from project.tasks.repair.pauses import pause_queue, resume_queue


@admin.register(PausedQueue)
class PausedQueueAdmin(ReadOnlyAdmin):
    """Queues whose runs are not started."""

    list_display = ("queue", "reason", "paused_by", "since", "until")
    change_list_template = "admin/tasks/paused_queues.html"

    @admin.display(description="since")
    def since(self, paused: PausedQueue) -> str:
        """How long it has been paused."""
        return moment(paused.paused_at)

    @admin.display(description="until")
    def until(self, paused: PausedQueue) -> str:
        """When it is resumed by itself."""
        return moment(paused.resume_at) if paused.resume_at else "resumed by hand"

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that pause and resume."""
        view = self.admin_site.admin_view
        pause = path("pause/", view(self.pause), name="tasks_pausedqueue_pause")
        resume = path("<str:queue>/resume/", view(self.resume), name="tasks_pausedqueue_resume")
        return [pause, resume, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the button to those who may press it."""
        return super().changelist_view(request, {"may_repair": may_repair(request)} | (extra_context or {}))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A paused queue has one page: the one that resumes it."""
        if may_repair(request):
            return redirect("admin:tasks_pausedqueue_resume", object_id)
        return super().change_view(request, object_id, form_url, extra_context)

    def pause(self, request: HttpRequest) -> HttpResponse:
        """Ask which queue to pause and why, and pause it."""
        operator = require_repair(request)
        given = {"queue": request.GET.get("queue", "")}
        form = PauseForm(request.POST if request.method == "POST" else None, initial=given)
        if form.is_valid():
            queue = form.cleaned_data.pop("queue")
            pause_queue(queue, by=operator, **form.cleaned_data)
            messages.success(request, f"Queue {queue} is paused.")
            return redirect("admin:tasks_pausedqueue_changelist")
        warning = "No more runs of this queue are started. Those that are running go on; new ones wait."
        return self._ask(request, "Pause a queue", form=form, warning=warning, label="Pause it", is_destructive=True)

    def resume(self, request: HttpRequest, queue: str) -> HttpResponse:
        """Ask whether to resume a queue, and resume it."""
        operator = require_repair(request)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            was_paused = resume_queue(queue, by=operator, reason=form.cleaned_data["reason"])
            messages.success(request, f"Queue {queue} {'is resumed' if was_paused else 'was not paused'}.")
            return redirect("admin:tasks_pausedqueue_changelist")
        paused = PausedQueue.objects.filter(queue=queue).first()
        facts = [("Queue", queue), ("Paused by", paused.paused_by), ("Because", paused.reason)] if paused else []
        warning = "The runs that wait in this queue are started." if paused else f"Queue {queue} is not paused."
        return self._ask(request, f"Resume {queue}", form=form, warning=warning, facts=facts, label="Resume it")

    def _ask(self, request: HttpRequest, title: str, **context: Any) -> HttpResponse:
        back = reverse("admin:tasks_pausedqueue_changelist")
        page = self.page(request, title, back=back, **context)
        page["media"] += context["form"].media
        return TemplateResponse(request, CONFIRM, page)

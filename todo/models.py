"""Todos."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class Todo(models.Model):
    """Something a user means to do."""

    title = models.CharField(max_length=200)
    description = models.CharField(max_length=1000, blank=True)
    completed = models.BooleanField(default=False)
    due_at = models.DateTimeField(null=True, blank=True, help_text="When its owner gets a mail about it.")
    reminded_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the mail about this due time was handed over."
    )
    reminder_id = models.UUIDField(
        null=True, blank=True, editable=False, help_text="The run that will mail, or mails, or has mailed."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="todos", db_index=False)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "completed"], name="todo_by_user_and_state"),
            models.Index(fields=["user", "-created_at", "-id"], name="todo_of_user_newest_first"),
            models.Index(fields=["-created_at", "-id"], name="todo_newest_first"),
            # The cleanup's: it holds nothing but what is about to go.
            models.Index(fields=["id"], name="todo_completed", condition=Q(completed=True)),
        ]

    def __str__(self) -> str:
        return self.title

"""Exports: the files that people have had made of their todos."""

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models

#: How long an export can be downloaded.
KEPT = timedelta(days=1)
#: For so long after that its link says that it has expired, and not that there never was one.
REMEMBERED = timedelta(days=30)


class Export(models.Model):
    """An export whose file is complete; it has the id of the run that made it."""

    class Format(models.TextChoices):
        """What kind of file it is; the value is also how its name ends."""

        CSV = "csv", "CSV"
        JSONL = "jsonl", "JSON lines"
        PDF = "pdf", "PDF"

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exports")
    format = models.CharField(max_length=8, choices=Format.choices)
    rows = models.PositiveIntegerField(help_text="How many todos are in it.")
    bytes = models.PositiveBigIntegerField(help_text="The length of its file.")
    name = models.CharField(max_length=100, blank=True, help_text="Of its file; empty when that is deleted.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["expires_at"], name="export_by_end")]

    def __str__(self) -> str:
        return f"{self.rows:,} todos as {self.format}"

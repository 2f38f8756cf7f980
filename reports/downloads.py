"""An export as the answer to a request, for programs and browsers alike."""

from django.http import FileResponse
from django.utils import timezone

from reports.errors import ExportExpiredError
from reports.files import open_file
from reports.models import Export

_TYPES = {
    Export.Format.CSV: "text/csv; charset=utf-8",
    Export.Format.JSONL: "application/x-ndjson",
    Export.Format.PDF: "application/pdf",
}


def download(export: Export) -> FileResponse:
    """Answer with an export's file, to be kept under the date of its day.

    Raises:
        ExportExpiredError: If its file is gone.
        StorageAwayError: If it cannot be read now.
    """
    try:
        file = open_file(export.name)
    except FileNotFoundError as error:
        raise ExportExpiredError from error
    name = f"todos-{timezone.localtime(export.created_at):%Y-%m-%d}.{export.format}"
    response = FileResponse(file, as_attachment=True, filename=name, content_type=_TYPES[Export.Format(export.format)])
    response["Content-Length"] = str(export.bytes)  # a bucket's answer does not tell in time
    response["Cache-Control"] = "private, no-store"
    return response

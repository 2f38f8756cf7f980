"""Making exports and giving them to their owners; the files are in `files`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import IO
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from reports import files
from reports.errors import ExportExpiredError, ExportNotFoundError, NothingToExportError, TooLongForPdfError
from reports.models import KEPT, Export
from reports.schemas import ExportFormat, ExportResult
from reports.text_formats import write_csv, write_json_lines
from reports.todos import Row, count_todos, has_more_than, read_todos
from users.models import User

#: Of a PDF: more pages than anybody reads, and the library keeps all of them in memory.
MOST_IN_PDF = 5_000
#: How far it is (0 to 1), and in words.
Report = Callable[[float, str], None]
_GONE = ExportResult(rows=0, bytes=0, url="")
log = structlog.get_logger(__name__)


def check_export(*, user_id: int, kind: ExportFormat) -> None:
    """Check that there is something to export, and not too much.

    Raises:
        NothingToExportError: If the user has no todos.
        TooLongForPdfError: If they are too many for this format.
    """
    if not has_more_than(0, user_id=user_id):
        raise NothingToExportError
    _check_length(user_id=user_id, kind=kind)


def export_todos(*, user_id: int, kind: ExportFormat, export_id: UUID, report: Report) -> ExportResult:
    """Write a user's todos into a file that only they can download, for a day.

    Doing it again under the same id changes nothing, whatever became of the first time.

    Args:
        user_id: Whose; of a user who is gone nothing is exported.
        kind: How they are written.
        export_id: What the export is called.
        report: Is told how far it is.

    Raises:
        TooLongForPdfError: If they are too many for this format.
        OSError: If the disk is full; a bucket raises errors of its own, see `files.storage_errors`.
    """
    made = Export.objects.filter(pk=export_id).first()
    if made is not None:
        return _result(made)
    if not User.objects.filter(pk=user_id).exists():
        log.info("export_skipped", user_id=user_id, reason="the user is gone")
        return _GONE
    _check_length(user_id=user_id, kind=kind)
    name = files.name_of(export_id, kind)
    counted = _Counted(read_todos(user_id=user_id), total=count_todos(user_id=user_id), report=report)
    with files.draft() as file:
        _writer(kind)(file, counted)
        length = files.save(name, file)
    now = timezone.now()
    values = {"user_id": user_id, "format": kind, "rows": counted.rows, "bytes": length, "name": name}
    return _remember(Export(pk=export_id, created_at=now, expires_at=now + KEPT, **values))


def find_export(*, export_id: UUID, user: User) -> Export:
    """Return one of a user's own exports, which can be downloaded.

    Raises:
        ExportNotFoundError: If there is none, or it is somebody else's.
        ExportExpiredError: If there was one.
    """
    export = Export.objects.filter(pk=export_id, user=user).first()
    if export is None:
        raise ExportNotFoundError
    if not export.name or export.expires_at <= timezone.now():
        raise ExportExpiredError
    return export


def url_of(export_id: UUID) -> str:
    """Return where programs download an export."""
    return f"/v1/exports/{export_id}"


class _Counted:
    """Pages that are counted as they are read.

    Args:
        pages: The pages.
        total: How many rows there are, about: some may come or go meanwhile.
        report: Is told how many have been read.
    """

    def __init__(self, pages: Iterable[list[Row]], *, total: int, report: Report) -> None:
        self._pages, self._total, self._report = pages, max(1, total), report
        self.rows = 0

    def __iter__(self) -> Iterator[list[Row]]:
        for page in self._pages:
            yield page
            self.rows += len(page)
            self._report(min(1.0, self.rows / self._total), f"{self.rows:,} of {max(self.rows, self._total):,} todos")


def _check_length(*, user_id: int, kind: ExportFormat) -> None:
    if kind == "pdf" and has_more_than(MOST_IN_PDF, user_id=user_id):
        raise TooLongForPdfError(most=MOST_IN_PDF)


def _writer(kind: ExportFormat) -> Callable[[IO[bytes], Iterable[list[Row]]], None]:
    if kind == "pdf":
        from reports.pdf import write_pdf  # noqa: PLC0415 - its library takes a sixth of a second to load

        return write_pdf
    return {"csv": write_csv, "jsonl": write_json_lines}[kind]


def _remember(export: Export) -> ExportResult:
    """Let its owner download an export; if they are gone by now, it goes too."""
    try:
        with transaction.atomic():
            export.save(force_insert=True)
    except IntegrityError:
        made = Export.objects.filter(pk=export.pk).first()
        if made is not None:  # by a worker that was presumed dead
            return _result(made)
        files.delete(export.name)
        log.info("export_skipped", user_id=export.user_id, reason="the user has gone meanwhile")
        return _GONE
    return _result(export)


def _result(export: Export) -> ExportResult:
    return ExportResult(rows=export.rows, bytes=export.bytes, url=url_of(export.pk))

"""The list of runs as a file: CSV or JSON lines, streamed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBadRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from project.desk.admin.addresses import filter_of
from project.desk.admin.listing import search
from project.desk.admin.read_only import require_look
from project.tasks.models import TaskRun
from project.tasks.repair.filters import RunFilter

COLUMNS: Final = (
    "id", "task", "queue", "state", "attempts", "failures", "deaths", "created_at", "run_after", "started_at",
    "finished_at", "source", "user_id", "request_id", "schedule", "parent_id", "batch_id", "error_type", "error",
    "fingerprint", "arguments", "result", "traceback",
)  # fmt: skip
#: Rows that are read at once: with tracebacks of up to 50,000 characters, some tens of megabytes at the worst.
_CHUNK = 1000

Row = dict[str, Any]


def export(request: HttpRequest) -> HttpResponseBase:
    """Stream every run that matches the list's filter and search, newest first."""
    require_look(request)
    kind = request.GET.get("as", "csv")
    if kind not in _KINDS:
        return HttpResponseBadRequest("as=csv or as=jsonl")
    lines, content_type = _KINDS[kind]
    which, term = filter_of(request.GET), request.GET.get("q", "")
    rows = _rows(
        which, search(TaskRun.objects.order_by(), term) if term else TaskRun.objects.order_by(), is_searched=bool(term)
    )
    response = StreamingHttpResponse(lines(rows), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="runs.{kind}"'
    return response


def _rows(which: RunFilter, runs: QuerySet[TaskRun], *, is_searched: bool) -> Iterator[Row]:
    """Yield rows chunk by chunk: no long transaction, and no more in memory than one chunk."""
    left = runs
    while chunk := list(which.newest(_CHUNK, runs=left, is_searched=is_searched).values(*COLUMNS)):
        yield from chunk
        left = runs.filter(id__lt=chunk[-1]["id"])


class _Line:
    """What `csv` writes to: it only hands the line on."""

    def write(self, line: str) -> str:
        return line


def _csv(rows: Iterator[Row]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for row in rows:
        yield writer.writerow([_cell(row[name]) for name in COLUMNS])


def _cell(value: Any) -> str:
    text = (
        json.dumps(value, ensure_ascii=False)
        if isinstance(value, (dict, list))
        else str("" if value is None else value)
    )
    # A spreadsheet would execute it: https://owasp.org/www-community/attacks/CSV_Injection
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _json_lines(rows: Iterator[Row]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False) + "\n"


_KINDS: Final[dict[str, tuple[Callable[[Iterator[Row]], Iterator[str]], str]]] = {
    "csv": (_csv, "text/csv; charset=utf-8"),
    "jsonl": (_json_lines, "application/x-ndjson"),
}

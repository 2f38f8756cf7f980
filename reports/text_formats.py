"""Todos as CSV and as JSON lines."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from reports.todos import Row

#: What a spreadsheet would take for a formula, and execute (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_csv(file: IO[bytes], pages: Iterable[list[Row]]) -> None:
    """Write todos as CSV, as spreadsheets read it.

    It begins with a byte order mark, without which Excel takes UTF-8 for something else. A text that a spreadsheet
    would execute begins with an apostrophe.
    """
    with _as_text(file, encoding="utf-8-sig") as text:
        writer = csv.writer(text)
        writer.writerow(Row._fields)
        for page in pages:
            writer.writerows(_cells(row) for row in page)


def write_json_lines(file: IO[bytes], pages: Iterable[list[Row]]) -> None:
    """Write todos as JSON, one to a line, each text as it is."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    with _as_text(file, encoding="utf-8") as text:
        for page in pages:
            text.writelines(encode(row._asdict()) + "\n" for row in page)


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


@contextmanager
def _as_text(file: IO[bytes], *, encoding: str) -> Iterator[io.TextIOWrapper]:
    """Let text be written into a file that stays open."""
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    try:
        yield text
    finally:
        text.detach()


def _cells(row: Row) -> tuple[object, ...]:
    return (
        row.id,
        harmless(row.title),
        harmless(row.description),
        "true" if row.completed else "false",
        row.due_at or "",
        row.created_at,
        row.updated_at,
    )

"""Todos as a PDF to print; times are the service's local time.

The font, DejaVu Sans, is part of the file as far as it is used. It has Latin, Greek, Cyrillic, Armenian, Georgian,
Hebrew, Arabic letters and many symbols. It has no Chinese, Japanese, Korean or Indian letters and no emoji: each of
these is shown as a question mark in a box, while CSV and JSON lines have them as they are.
"""

import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import IO, BinaryIO, cast

from django.utils import timezone
from fpdf import FPDF

from reports.todos import Row

_FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
_GREY, _BLACK = 100, 0
#: In millimetres.
_INDENT, _LINE, _SMALL_LINE, _GAP = 7.0, 5.5, 4.5, 2.0
_MISSING = "\ufffd"

# It tells of each letter that a font lacks; those are replaced before.
logging.getLogger("fontTools").setLevel(logging.WARNING)


def write_pdf(file: IO[bytes], pages: Iterable[list[Row]]) -> None:
    """Write todos as a PDF, one below the other."""
    pdf = _Todos()
    for page in pages:
        for row in page:
            pdf.add_todo(row)
    pdf.output(cast("BinaryIO", file))


class _Todos(FPDF):
    """The pages, in A4."""

    def __init__(self) -> None:
        super().__init__()
        self.add_font("todos", fname=_FONT)
        self._known = set(self.fonts["todos"].cmap)  # type: ignore[union-attr]  # a TrueType font has one
        self.set_title("My todos")
        self.set_creator("Todos")
        self.set_auto_page_break(auto=True, margin=18)
        self.add_page()
        self._write("My todos", size=18, height=10)

    def footer(self) -> None:
        """Number each page."""
        self.set_y(-12)
        self._write(str(self.page_no()), size=8, height=_SMALL_LINE, grey=True)

    def add_todo(self, row: Row) -> None:
        """Add one below the last."""
        self.set_x(self.l_margin)
        self._write("\u2611" if row.completed else "\u2610", size=12, height=_LINE, width=_INDENT, stays=True)
        self._write(row.title, size=11, height=_LINE)
        if row.description:
            self._write(row.description, size=9, height=_SMALL_LINE, indent=_INDENT)
        due = f"Due {_said(row.due_at)} · " if row.due_at else ""
        self._write(f"{due}Written down {_said(row.created_at)}", size=8, height=_SMALL_LINE, indent=_INDENT, grey=True)
        self.ln(_GAP)

    def _write(
        self,
        text: str,
        *,
        size: float,
        height: float,
        width: float = 0,
        indent: float = 0,
        grey: bool = False,
        stays: bool = False,
    ) -> None:
        """Write some text here; the next goes below it, unless it `stays` on the line."""
        self.set_font("todos", size=size)
        self.set_text_color(_GREY if grey else _BLACK)
        if indent:
            self.set_x(self.l_margin + indent)
        where = {"new_x": "RIGHT", "new_y": "TOP"} if stays else {"new_x": "LMARGIN", "new_y": "NEXT"}
        self.multi_cell(width, height, self._shown(text), align="L", **where)  # type: ignore[arg-type]

    def _shown(self, text: str) -> str:
        return "".join(letter if letter == "\n" or ord(letter) in self._known else _MISSING for letter in text)


def _said(when: str) -> str:
    return f"{timezone.localtime(datetime.fromisoformat(when)):%Y-%m-%d %H:%M}"

"""Letters: what somebody is to read, as text and as HTML, with links that lead to the service from anywhere."""

import unicodedata
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

#: In characters: what a subject is cut to, so that programs show all of it in a list.
LONGEST_SUBJECT = 150


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A mail to one person; to more people, as many letters, of which each is taken or refused by itself.

    Args:
        to: The address.
        subject: One line.
        text: What programs without HTML show.
        html: The same for the others; nothing if there is text only.
        unsubscribe_url: Where one POST ends letters of this kind (RFC 8058); nothing if there is no such kind.
    """

    to: str
    subject: str
    text: str
    html: str = ""
    unsubscribe_url: str = ""


def write_letter(template: str, *, to: str, subject: str, unsubscribe_url: str = "", **context: Any) -> Letter:
    """Write a letter from the templates `<template>.txt` and `<template>.html`.

    Args:
        template: Their common name, such as `notifications/welcome`.
        to: The address.
        subject: Made one line, and not too long.
        unsubscribe_url: See `Letter`; the templates know it too.
        context: What the templates need beside `site_url` and `subject`.
    """
    subject = one_line(subject)
    context |= {"site_url": settings.SITE_URL, "subject": subject, "unsubscribe_url": unsubscribe_url}
    text, html = (render_to_string(f"{template}.{kind}", context).strip() + "\n" for kind in ("txt", "html"))
    return Letter(to=to, subject=subject, text=text, html=html, unsubscribe_url=unsubscribe_url)


def one_line(text: str) -> str:
    """Return a text as one line that can be a subject: people's words may have line breaks and control characters."""
    line = " ".join("".join(character if is_shown(character) else " " for character in text).split())
    return line if len(line) <= LONGEST_SUBJECT else f"{line[: LONGEST_SUBJECT - 1].rstrip()}…"


def is_shown(character: str) -> bool:
    """Tell whether a character is one that a line may have: no control character, no end of a line."""
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")

"""Mails as files, for development and tests: one for each, newest last by name, and a repeat in the same one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage as ParsedMessage
from email.parser import BytesParser
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.text import slugify

#: A page of development does not list more.
MOST_LISTED = 100


class EmailBackend(BaseEmailBackend):
    """Writes each mail to a file of its own in `MAIL_DIRECTORY`, whole or not at all."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the mails and return how many there are."""
        directory = _directory()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for message in email_messages:
            written = message.message()
            name = slugify(str(written["Message-ID"]).strip("<>").partition("@")[0])
            part = directory / f"{name}.{os.getpid()}.part"
            part.write_bytes(written.as_bytes())
            part.replace(directory / f"{name}.eml")
        return len(email_messages)


@dataclass(frozen=True, kw_only=True)
class MailFile:
    """A mail in a file, as people read it.

    Args:
        name: Of the file, without its suffix.
        written_at: When it was written last.
        headers: Those worth reading, by name.
        text: Its text.
        html: Its HTML, if it has any.
    """

    name: str
    written_at: datetime
    headers: dict[str, str]
    text: str
    html: str


def read_mails() -> list[MailFile]:
    """Return the newest mails, the newest first."""
    paths = sorted(_directory().glob("*.eml"), key=lambda path: path.name, reverse=True)
    return [read_mail(path.stem) for path in paths[:MOST_LISTED]]


def read_mail(name: str) -> MailFile:
    """Return the mail in a file.

    Args:
        name: Of the file, without its suffix; letters, digits, `-` and `_` only.

    Raises:
        FileNotFoundError: If there is none.
    """
    path = _directory() / f"{name}.eml"
    message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    shown = ("Subject", "To", "From", "Date", "Message-ID", "List-Unsubscribe")
    return MailFile(
        name=name,
        written_at=datetime.fromtimestamp(path.stat().st_mtime, tz=UTC),
        headers={header: str(message[header]) for header in shown if message[header]},
        text=_part(message, "plain"),
        html=_part(message, "html"),
    )


def _directory() -> Path:
    return Path(settings.MAIL_DIRECTORY or "")


def _part(message: ParsedMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    return str(part.get_content()) if part is not None else ""

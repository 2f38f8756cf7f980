"""What an SMTP server's answer means for a letter: never, later, or again."""

import re
from collections.abc import Callable
from datetime import timedelta
from smtplib import SMTPAuthenticationError, SMTPRecipientsRefused, SMTPResponseException

from project.mail.errors import MailError, MailPutOffError, MailRefusedError

#: So much of an answer is kept, in characters; a server may say far more.
_LONGEST_REPLY = 500
#: No server is asked again sooner or later than this, whatever it says.
_SOONEST, _LATEST = timedelta(seconds=1), timedelta(hours=12)
#: How servers that put a letter off say for how long: "try again in 300 seconds", "come back in 00:05:00".
_IN_UNITS = re.compile(r"\b(\d{1,6})\s?(s|secs?|seconds?|m|mins?|minutes?|h|hours?)\b", re.IGNORECASE)
_ON_A_CLOCK = re.compile(r"\b(\d{1,2}):(\d{2}):(\d{2})\b")
_UNITS: dict[str, Callable[[int], timedelta]] = {
    "s": lambda number: timedelta(seconds=number),
    "m": lambda number: timedelta(minutes=number),
    "h": lambda number: timedelta(hours=number),
}


def error_of(error: OSError, *, server: str) -> MailError:
    """Return what an error of `smtplib` or of the network means.

    Args:
        error: What was raised while a letter was handed over; `SMTPException` is an `OSError`.
        server: How messages call the server.
    """
    reply = _reply(error)
    if reply is None:
        return MailError(f"{server} did not take the mail: {type(error).__name__}: {_one_line(str(error))}")
    code, text = reply
    said = f"{server} answered {code}: {text}"
    if 500 <= code < 600:  # noqa: PLR2004 - what RFC 5321 calls permanent negative completion
        return MailRefusedError(said)
    after = _put_off_for(text)
    return MailError(said) if after is None else MailPutOffError(said, after=after)


def _reply(error: OSError) -> tuple[int, str] | None:
    if isinstance(error, SMTPAuthenticationError):
        # Its words may repeat what was sent, so the password.
        return error.smtp_code, "it refused EMAIL_USER with EMAIL_PASSWORD"
    if isinstance(error, SMTPRecipientsRefused):
        # A letter has one recipient.
        code, words = next(iter(error.recipients.values()))
        return code, _one_line(words)
    if isinstance(error, SMTPResponseException):
        return error.smtp_code, _one_line(error.smtp_error)
    return None


def _put_off_for(text: str) -> timedelta | None:
    if found := _ON_A_CLOCK.search(text):
        hours, minutes, seconds = map(int, found.groups())
        after = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    elif found := _IN_UNITS.search(text):
        after = _UNITS[found[2][0].lower()](int(found[1]))
    else:
        return None
    return min(max(after, _SOONEST), _LATEST)


def _one_line(words: str | bytes) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return " ".join(text.split())[:_LONGEST_REPLY]

"""Hands a letter to Django's mail API, and says what the answer means."""

from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from project.mail.errors import MailRefusedError
from project.mail.letters import Letter
from project.mail.replies import error_of
from project.mail.schemas import SendEmailResult


def deliver(letter: Letter, *, run_id: UUID) -> SendEmailResult:
    """Hand a letter over.

    Args:
        letter: The letter.
        run_id: What its `Message-ID` is made of, so that mail programs and people see that a second one is a repeat.

    Raises:
        MailRefusedError: If it will not be taken, however often it is tried.
        MailPutOffError: If the server says when to ask again.
        MailError: If it was not taken for any other reason, such as a server that is away.
    """
    message = _message(letter, message_id=f"<{run_id}@{settings.EMAIL_DOMAIN}>")
    server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    try:
        message.send()
    except OSError as error:
        # Without the original, whose words may repeat a password.
        raise error_of(error, server=server) from None
    except ValueError as error:
        raise MailRefusedError(f"This cannot be a mail: {error}") from error
    return SendEmailResult(message_id=message.extra_headers["Message-ID"])


def _message(letter: Letter, *, message_id: str) -> EmailMultiAlternatives:
    # RFC 3834: no machine is to answer, "I am on holiday" for instance.
    headers = {"Message-ID": message_id, "Auto-Submitted": "auto-generated"}
    if letter.unsubscribe_url:
        headers["List-Unsubscribe"] = f"<{letter.unsubscribe_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message = EmailMultiAlternatives(letter.subject, letter.text, to=[letter.to], headers=headers)
    if letter.html:
        message.attach_alternative(letter.html, "text/html")
    return message

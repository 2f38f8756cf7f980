"""`send_email`, and how every task that mails answers to the mail server."""

from datetime import timedelta

from django.conf import settings

from project.mail.delivery import deliver
from project.mail.errors import MailPutOffError, MailRefusedError
from project.mail.letters import Letter
from project.mail.schemas import Content, EmailAddress, SendEmailResult, Subject
from project.names import TaskName
from project.tasks import Message, PermanentError, RetryLater, current_run, task, uuid7

#: With full jitter, four hours or so before a mail is given up: a server that is away for one is nothing special.
RETRIES = 25
LONGEST_BACKOFF = timedelta(minutes=30)


@task(
    TaskName.SEND_EMAIL,
    queue="mail",
    max_retries=RETRIES,
    max_backoff=LONGEST_BACKOFF,
    rate_limit=settings.EMAIL_RATE_LIMIT,
)
def send_email(*, to: EmailAddress, subject: Subject, text: Content, html: Content = "") -> SendEmailResult:
    """Mail something to one person."""
    return mail(Letter(to=to, subject=subject, text=text, html=html))


def mail(letter: Letter) -> SendEmailResult:
    """Hand a letter over as part of the run that calls this.

    Raises:
        PermanentError: If the server will not take it.
        RetryLater: If the server says when to ask again.
        MailError: If it was not taken for any other reason.
    """
    run = current_run()
    try:
        return deliver(letter, run_id=run.run_id if run else uuid7())
    except MailPutOffError as error:
        raise RetryLater(after=error.after, reason=str(error)) from error
    except MailRefusedError as error:
        raise PermanentError(str(error)) from error


def send_letter(letter: Letter) -> Message[SendEmailResult]:
    """Have a letter mailed once the surrounding transaction has committed."""
    return send_email.send(to=letter.to, subject=letter.subject, text=letter.text, html=letter.html)

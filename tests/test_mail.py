"""A mail goes to one person, whole, once recognisably, and says how it ended."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from smtplib import SMTPAuthenticationError
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail as outgoing

from project.mail.delivery import deliver
from project.mail.errors import MailError, MailPutOffError, MailRefusedError
from project.mail.letters import LONGEST_SUBJECT, Letter, one_line
from project.mail.replies import error_of
from project.registry import registry
from project.tasks import PermanentError, RetryLater, TaskArgumentError
from tests.smtp import SILENCE, MailServer

RUN = uuid4()


def letter(**changes: str) -> Letter:
    return Letter(**{"to": "ada@example.com", "subject": "Hello", "text": "Dear Ada", "html": "<p>Dear Ada"} | changes)


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    """A mail server that the service mails to."""
    with MailServer().listening() as server:
        _mail_to(server, settings)
        yield server


def _mail_to(server: MailServer, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 0.2


def test_a_mail_arrives_as_text_and_html_from_the_sender_of_the_settings(server: MailServer) -> None:
    deliver(letter(subject="Grüße, Ada"), run_id=RUN)
    (mail,) = server.mails
    assert (mail["Subject"], mail["To"], mail["From"]) == ("Grüße, Ada", "ada@example.com", "Todos <todos@localhost>")
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_repeat_has_the_same_message_id(server: MailServer) -> None:
    results = [deliver(letter(), run_id=RUN) for _ in range(2)]
    assert {mail["Message-ID"] for mail in server.mails} == {result.message_id for result in results}
    assert results[0].message_id == f"<{RUN}@localhost>"


def test_a_letter_that_can_be_ended_says_so_in_its_headers(server: MailServer) -> None:
    deliver(letter(unsubscribe_url="https://example.com/stop?token=x"), run_id=RUN)
    assert server.mails[0]["List-Unsubscribe"] == "<https://example.com/stop?token=x>"
    assert server.mails[0]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize("answer", ["450 4.7.1 Not now", "451 Local error", "421 Shutting down", "451 Try again later"])
def test_a_server_that_does_not_take_it_now_is_asked_again(server: MailServer, answer: str) -> None:
    server.answers = [answer]
    with pytest.raises(MailError, match=answer[4:]) as refused:
        deliver(letter(), run_id=RUN)
    assert type(refused.value) is MailError


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        ("451 4.7.1 Greylisted, try again in 300 seconds", timedelta(minutes=5)),
        ("450 Greylisting in action, please come back in 00:01:30", timedelta(seconds=90)),
        ("421 Too many mails, wait 2 min", timedelta(minutes=2)),
        ("452 Come back after 900000 hours", timedelta(hours=12)),
        ("451 Again in 0 s", timedelta(seconds=1)),
    ],
)
def test_a_server_that_says_when_is_asked_then(server: MailServer, answer: str, after: timedelta) -> None:
    server.answers = [answer]
    with pytest.raises(MailPutOffError) as put_off:
        deliver(letter(), run_id=RUN)
    assert put_off.value.after == after


def test_a_refusal_for_good_is_told_with_the_servers_words(server: MailServer) -> None:
    server.answers = ["554 5.7.1 This is spam"]
    with pytest.raises(MailRefusedError, match=rf"127.0.0.1:{server.port} answered 554: 5.7.1 This is spam"):
        deliver(letter(), run_id=RUN)


def test_a_recipient_whom_the_server_does_not_know_is_refused_for_good(server: MailServer) -> None:
    server.refused = {"nobody@example.com"}
    with pytest.raises(MailRefusedError, match=r"550: 5\.1\.1 No such user"):
        deliver(letter(to="nobody@example.com"), run_id=RUN)


def test_a_server_that_hangs_is_given_up_after_the_time_out(server: MailServer) -> None:
    server.answers = [SILENCE]
    with pytest.raises(MailError, match="timed out"):
        deliver(letter(), run_id=RUN)


def test_a_server_that_is_away_is_a_reason_to_try_again(settings: Any) -> None:
    _mail_to(MailServer(), settings)
    with pytest.raises(MailError, match="Connection refused") as away:
        deliver(letter(), run_id=RUN)
    assert type(away.value) is MailError


@pytest.mark.parametrize(
    "to", ["a@example.com\nBcc: b@example.com", "a@example.com, b@example.com", "Ada <a@b.de>", ""]
)
def test_only_one_bare_address_is_a_recipient(to: str) -> None:
    with pytest.raises(TaskArgumentError, match="one e-mail address"):
        registry.send_email.call(to=to, subject="x", text="y", html="")


@pytest.mark.parametrize("subject", ["a\nBcc: b@example.com", "a\rb", "a\x0bb", "a\x85b", "a\u2028b", ""])
def test_no_header_hides_in_a_subject(subject: str) -> None:
    with pytest.raises(TaskArgumentError, match="subject"):
        registry.send_email.call(to="a@example.com", subject=subject, text="y", html="")


def test_what_got_past_the_arguments_is_still_no_header(server: MailServer) -> None:
    for broken in ({"subject": "a\nBcc: b@example.com"}, {"to": "a@example.com\nBcc: b@example.com"}):
        with pytest.raises(MailRefusedError, match="cannot be a mail"):
            deliver(letter(**broken), run_id=RUN)
    assert server.mails == []


def test_peoples_words_become_one_line_of_a_subject() -> None:
    assert one_line(" Buy\r\nBcc: x\x00\u2028 milk\t") == "Buy Bcc: x milk"
    assert len(one_line("x" * 500)) == LONGEST_SUBJECT


def test_a_password_that_the_server_repeats_is_not_told() -> None:
    told = error_of(SMTPAuthenticationError(535, b"5.7.8 Wrong: ada hunter2"), server="mail:587")
    assert str(told) == "mail:587 answered 535: it refused EMAIL_USER with EMAIL_PASSWORD"


def test_the_task_is_dead_or_put_off_as_the_server_says(server: MailServer) -> None:
    server.answers = ["550 No", "451 Wait 5 minutes"]
    with pytest.raises(PermanentError, match="550"):
        registry.send_email(to="ada@example.com", subject="x", text="y", html="")
    with pytest.raises(RetryLater) as later:
        registry.send_email(to="ada@example.com", subject="x", text="y", html="")
    assert later.value.after == timedelta(minutes=5)


def test_without_a_server_mails_are_files_and_a_repeat_is_the_same_file(settings: Any, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND, settings.MAIL_DIRECTORY = "project.mail.files.EmailBackend", tmp_path / "mail"
    for text in ("first", "second"):
        deliver(letter(text=text), run_id=RUN)
    assert [path.name for path in (tmp_path / "mail").iterdir()] == [f"{RUN}.eml"]
    assert outgoing.outbox == []

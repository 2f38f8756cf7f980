"""Mails on real processes and a real SMTP server, which is in every mood."""

import os
import random
import signal
from datetime import timedelta
from uuid import UUID

import pytest

from project.mail.schemas import SendEmailResult
from project.registry import registry
from project.tasks import Message
from project.tasks.models import TaskRun, Worker
from tests.acceptance.processes import Service
from tests.eventually import eventually
from tests.smtp import SILENCE, MailServer, environment_of


@pytest.fixture
def server(service: Service) -> MailServer:
    """A mail server that the service's processes mail to; it does not listen yet."""
    server = MailServer()
    service.environment |= environment_of(server)
    return server


def send(subject: str, to: str = "ada@example.com") -> Message[SendEmailResult]:
    return registry.send_email.send(to=to, subject=subject, text="Dear Ada", html="")


def run_of(run_id: UUID) -> TaskRun:
    return TaskRun.objects.get(id=run_id)


def test_a_mail_is_sent_once_whatever_the_server_answers_first(service: Service, server: MailServer) -> None:
    server.answers, server.refused = ["451 4.3.0 Try again later", SILENCE], {"nobody@example.com"}
    service.worker()
    with server.listening():
        moody = send("moody")
        eventually(lambda: server.asked == 1)
        silent, unknown = send("silent"), send("unknown", to="nobody@example.com")
        for message in (moody, silent):
            message.result(timeout=40)
        eventually(lambda: run_of(unknown.run_id).state == TaskRun.State.DEAD)

    assert sorted(server.subjects) == ["moody", "silent"]
    assert {str(mail["Message-ID"]) for mail in server.mails} == {
        f"<{message.run_id}@localhost>" for message in (moody, silent)
    }
    assert (run_of(moody.run_id).attempts, run_of(silent.run_id).attempts) in ((2, 2), (3, 1))
    assert (run_of(unknown.run_id).attempts, run_of(unknown.run_id).error_type) == (1, "PermanentError")


@pytest.mark.long
def test_what_was_sent_while_the_mail_server_was_away_arrives_when_it_is_back(
    service: Service, server: MailServer
) -> None:
    worker = service.worker()
    messages = [send(str(number)) for number in range(10)]
    worker.wait_for("run_retrying", times=10)
    with server.listening():
        for message in messages:
            message.result(timeout=40)
    assert sorted(server.subjects) == sorted(map(str, range(10)))


@pytest.mark.long
def test_no_minute_has_more_mails_than_the_limit_though_workers_are_killed(
    service: Service, server: MailServer
) -> None:
    """More mails than a minute may have, so that the limit is met; what a killed worker had sent may come again."""
    limit, mails = 600, 700
    calls = [
        registry.send_email.call(to="ada@example.com", subject=str(number), text="Dear Ada") for number in range(mails)
    ]
    with server.listening():
        for _ in range(2):
            service.worker(processes=2, threads=4)
        messages = registry.send_email.send_many(calls)
        for share in (100, 250, 400, 550):
            eventually(lambda share=share: len(server.mails) >= share, timeout=60)  # type: ignore[misc]
            kill_some_worker()
        ended = TaskRun.objects.filter(task="send_email", state=TaskRun.State.SUCCEEDED)
        eventually(lambda: ended.count() == mails, timeout=150, every=0.2)

    assert {str(mail["Message-ID"]) for mail in server.mails} == {
        f"<{message.run_id}@localhost>" for message in messages
    }
    assert server.most_in(timedelta(minutes=1)) <= limit
    # Four workers of four threads: so many mails may have been under way when they were killed.
    assert len(server.mails) <= mails + 4 * 4


def kill_some_worker() -> None:
    pids = Worker.objects.filter(kind=Worker.Kind.WORKER).values_list("pid", flat=True)
    os.kill(random.choice(eventually(lambda: list(pids.all()), timeout=30)), signal.SIGKILL)

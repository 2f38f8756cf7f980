"""A real SMTP server on this machine, which answers as a test wants it to and keeps what it took."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from time import monotonic
from typing import Any

from aiosmtpd.controller import Controller

from project.embedded.server import free_port

#: What an answer may be instead of a line: none at all.
SILENCE = ""


@dataclass
class MailServer:
    """What the server is told and what it took.

    Args:
        port: Where it listens.
        answers: What it answers to the next mails, one each, such as `451 Try later`; after that it takes all.
        refused: Recipients that it never takes.
    """

    port: int = field(default_factory=free_port)
    answers: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    mails: list[EmailMessage] = field(default_factory=list)
    taken_at: list[float] = field(default_factory=list)
    asked: int = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it by that name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 No such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer == SILENCE:
            await asyncio.sleep(60)
        if answer.startswith("250"):
            self.taken_at.append(monotonic())
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return answer

    @property
    def subjects(self) -> list[str]:
        """The subjects of what it took, in order."""
        return [str(mail["Subject"]) for mail in self.mails]

    def most_in(self, window: timedelta, *, of: Callable[["MailServer"], list[float]] = lambda it: it.taken_at) -> int:
        """Return the most mails that it took within any window of that length."""
        times, length = sorted(of(self)), window.total_seconds()
        return max((sum(start <= each < start + length for each in times) for start in times), default=0)

    @contextmanager
    def listening(self) -> Iterator["MailServer"]:
        """Take mails while the block runs; whatever is under way then is cut."""
        controller = Controller(self, hostname="127.0.0.1", port=self.port)
        controller.start()
        try:
            yield self
        finally:
            controller.stop()


def environment_of(server: MailServer) -> dict[str, str]:
    """Return what processes must be started with to mail to a server."""
    return {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(server.port), "EMAIL_TIMEOUT": "1"}

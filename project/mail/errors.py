"""What can become of a letter that was not taken."""

from datetime import timedelta


class MailError(Exception):
    """A letter was not taken; the message says by whom and why. Trying again may help."""


class MailRefusedError(MailError):
    """It will not be taken, however often it is tried: correct the address, the sender or the password."""


class MailPutOffError(MailError):
    """The server says when it wants to be asked again.

    Args:
        reason: What it answered.
        after: How long from now.
    """

    def __init__(self, reason: str, *, after: timedelta) -> None:
        super().__init__(reason)
        self.after = after

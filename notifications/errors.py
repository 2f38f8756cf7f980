"""What the notifications refuse, and why."""


class NotificationsError(Exception):
    """Base of the domain's errors; the message is meant for the person who followed a link."""


class ForgedLinkError(NotificationsError):
    """A link was not made by this service, or was changed on its way."""

    def __init__(self) -> None:
        super().__init__("This link is not one of ours. Copy all of it from the mail, and try again.")


class ExpiredLinkError(NotificationsError):
    """A link was good, but for too long."""

    def __init__(self) -> None:
        super().__init__("This link has expired. The newest digest has one that works.")

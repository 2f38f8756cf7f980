"""Dramatiq's retries for the fast lane, without the ways in which they lose a message."""

from typing import Any

from dramatiq import Broker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Retries


class SafeRetries(Retries):
    """Retries whose own failure makes the message dead instead of done.

    A retry itself cannot be lost or doubled: ``ServiceBroker`` sends it in the same step that acks the failed
    attempt. What is left are errors on the way there, such as arguments that the actor changed into something
    that cannot be encoded; Dramatiq logs those and acks the message.
    """

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """Retry the message, or bury it."""
        try:
            super().after_process_message(broker, message, result=result, exception=exception)  # type: ignore[no-untyped-call]
        except Exception:
            message.fail()
            raise

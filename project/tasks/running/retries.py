"""Dramatiq's retries for the fast lane, without the ways in which they lose a message."""

from datetime import timedelta
from typing import Any

from dramatiq import Broker
from dramatiq.broker import MessageProxy
from dramatiq.common import current_millis
from dramatiq.middleware import Retries

from project.tasks.errors import Postponed
from project.tasks.policy import Policy


class SafeRetries(Retries):
    """Retries whose own failure makes the message dead instead of done.

    A retry itself cannot be lost or doubled: `ServiceBroker` sends it in the same step that acks the failed
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
        """Retry the message, or make it dead."""
        try:
            if isinstance(exception, Postponed):
                _put_off(broker, message, exception)
                return
            super().after_process_message(broker, message, result=result, exception=exception)  # type: ignore[no-untyped-call]
        except Exception:
            message.fail()
            raise


def _put_off(broker: Broker, message: MessageProxy, error: Postponed) -> None:
    """Send the message again later, without counting a retry; make it dead if that has gone on for too long."""
    policy = getattr(broker.get_actor(message.actor_name), "policy", Policy())
    now, options = current_millis(), message.options
    since = options.setdefault("postponed_since", now)
    options["postponements"] = options.get("postponements", 0) + 1
    wait = policy.postpone_for(error, times=options["postponements"], so_far=timedelta(milliseconds=now - since))
    if wait is None:
        message.fail()
    else:
        broker.enqueue(message, delay=int(wait.total_seconds() * 1000))  # type: ignore[arg-type]  # as Retries does

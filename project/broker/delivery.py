"""Messages as Redis hands them out, and whoever says which of them may start here."""

from collections.abc import Sequence
from typing import Any, Protocol

from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.errors import DecodeError

from project.broker.acks import Successor

#: A message's id and its payload.
Pair = tuple[bytes, bytes]


class Delivery(MessageProxy):
    """A message that this process holds.

    Attributes:
        successor: The message that is to take its place when it is acked, if any.
        claim: What those who claim messages have attached to it. A thread that starts a message without one asks for
            it then.
    """

    successor: Successor | None = None
    claim: Any = None

    def __init__(self, message: Message[Any]) -> None:
        super().__init__(message)
        # Read a dozen times for each message; Dramatiq's proxy looks each up anew, which takes five times as long.
        self.queue_name, self.actor_name = message.queue_name, message.actor_name
        self.message_id, self.options = message.message_id, message.options


class Claims(Protocol):
    """Says which messages may start here, for all that were fetched together."""

    def claim(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Claim messages before any thread gets them; return those that are to be handed out.

        The others have nothing left to do, and are acked. Nothing is raised.
        """
        ...

    def give_up(self, deliveries: Sequence[Delivery]) -> None:
        """Take claims back, of messages that no thread has started and others are to have. Nothing is raised."""
        ...


def decode(payload: bytes, *, queue_name: str, redis_message_id: str) -> Message[Any]:
    """Read a message that was fetched from a queue.

    Raises:
        DecodeError: If it is none.
    """
    message: Message[Any] = Message.decode(payload)
    if not isinstance(message.actor_name, str) or not isinstance(message.options, dict):
        raise DecodeError("The payload is JSON, but not a message.", payload, None)
    message.options["redis_message_id"] = redis_message_id
    return message if message.queue_name == queue_name else message.copy(queue_name=queue_name)


def pairs(reply: list[bytes]) -> list[Pair]:
    """Return what Redis says one after the other as ids with their payloads."""
    return list(zip(reply[::2], reply[1::2], strict=True))

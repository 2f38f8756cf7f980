"""Messages on their way into Redis: with an id and a time, encoded, and grouped into commands."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from secrets import token_hex
from typing import Any

from dramatiq import Message, get_encoder
from dramatiq.common import current_millis, dq_name

_FIELDS = tuple(field.name for field in fields(Message))

#: Messages, and bytes, that one script is given: while it runs Redis does nothing else.
MOST_MESSAGES_TOGETHER = 500
MOST_BYTES_TOGETHER = 1_000_000


def stamp(message: Message[Any], delay: int | None) -> Message[Any]:
    """Return a copy of a message with its id in Redis and, if it is delayed, the time when it is due.

    The fields are simply copied: `dataclasses.replace` would be a quarter of what a bulk send costs.

    Args:
        message: One that has an id of its own for Redis, `<message id>:<attempt>`, keeps it.
        delay: Milliseconds from now; `None` for at once.
    """
    options = dict(message.options)
    if not str(options.get("redis_message_id", "")).startswith(f"{message.message_id}:"):
        options["redis_message_id"] = f"{time.time_ns():016x}{token_hex(8)}"  # sorts by time
    stamped: Message[Any] = object.__new__(type(message))
    stamped.__dict__.update(message.__dict__, options=options)
    if delay is not None:
        options["eta"] = current_millis() + delay
        stamped.__dict__["queue_name"] = dq_name(message.queue_name)
    return stamped


def encode(message: Message[Any]) -> bytes:
    """Return a message as it is stored."""
    return get_encoder().encode({name: getattr(message, name) for name in _FIELDS})


def end_for(message: Message[Any]) -> str:
    """Return how a message is put into its queue: one whose priority is below 0 overtakes what waits there."""
    return "LPUSH" if message.options.get("front") or message.options.get("priority", 0) < 0 else "RPUSH"


def chunks(messages: Sequence[Message[Any]]) -> Iterator[tuple[tuple[str, str], list[str | bytes]]]:
    """Group messages by their queue and its end, in pieces that do not hold Redis up for long.

    Args:
        messages: As `stamp` returns them.

    Returns:
        The queue and the end, as `end_for` returns it, with ids and payloads in turn.
    """
    pieces: dict[tuple[str, str], list[str | bytes]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for message in messages:
        payload, place = encode(message), (message.queue_name, end_for(message))
        piece = pieces.setdefault(place, [])
        piece += (message.options["redis_message_id"], payload)
        size = sizes[place] = sizes.get(place, 0) + len(payload)
        if len(piece) >= 2 * MOST_MESSAGES_TOGETHER or size >= MOST_BYTES_TOGETHER:
            yield place, pieces.pop(place)
            del sizes[place]
    yield from pieces.items()

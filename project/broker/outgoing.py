"""Messages on their way into Redis: with an id and a time, encoded, and grouped into commands."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from random import Random
from typing import Any, TypeVar

from dramatiq import Message, get_encoder
from dramatiq.common import current_millis, dq_name

M = TypeVar("M", bound=Message[Any])

_FIELDS = tuple(field.name for field in fields(Message))
_values_of = attrgetter(*_FIELDS)
#: For ids that only have to differ; a fork has to begin elsewhere.
_random = Random()  # noqa: S311 - nothing is secret about them
os.register_at_fork(after_in_child=_random.seed)

#: Messages, and bytes, that one script is given: while it runs Redis does nothing else.
MOST_MESSAGES_TOGETHER = 500
MOST_BYTES_TOGETHER = 1_000_000


def make_message(kind: type[M], **parts: Any) -> M:
    """Make a message of its fields but the time, which is now; its own `__init__` takes twice as long.

    Args:
        kind: Dramatiq's `Message`, or a subclass.
        parts: Its fields.
    """
    message = object.__new__(kind)
    message.__dict__.update(parts, message_timestamp=current_millis())
    return message


def stamp(message: Message[Any], delay: int | None) -> Message[Any]:
    """Return a message with its id in Redis and, if it is delayed, the time when it is due: itself, or a copy.

    The fields are simply copied: `dataclasses.replace` would be a quarter of what a bulk send costs.

    Args:
        message: One that has an id of its own for Redis, `<message id>:<attempt>`, keeps it.
        delay: Milliseconds from now; `None` for at once.
    """
    has_id = str(message.options.get("redis_message_id", "")).startswith(f"{message.message_id}:")
    if has_id and delay is None:
        return message
    options = dict(message.options)
    if not has_id:
        options["redis_message_id"] = f"{time.time_ns():016x}{_random.getrandbits(64):016x}"  # sorts by time
    stamped: Message[Any] = object.__new__(type(message))
    stamped.__dict__.update(message.__dict__, options=options)
    if delay is not None:
        options["eta"] = current_millis() + delay
        stamped.__dict__["queue_name"] = dq_name(message.queue_name)
    return stamped


def encode(message: Message[Any]) -> bytes:
    """Return a message as it is stored."""
    return get_encoder().encode(dict(zip(_FIELDS, _values_of(message), strict=True)))


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

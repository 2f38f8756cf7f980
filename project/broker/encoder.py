"""Messages as JSON, several times faster than Dramatiq's own encoder writes it."""

from typing import Any

from dramatiq.encoder import JSONEncoder
from pydantic_core import PydanticSerializationError, from_json, to_json


class Encoder(JSONEncoder):
    """Reads and writes what Dramatiq's `JSONEncoder` does, with pydantic's JSON; a subclass, as tools expect one.

    Pydantic refuses text that is not valid Unicode (lone surrogates); that takes the slower way.
    """

    def encode(self, data: dict[str, Any]) -> bytes:
        """Return a message as JSON.

        Args:
            data: Its fields.

        Raises:
            TypeError: If it holds something that JSON cannot.
        """
        try:
            return to_json(data)
        except PydanticSerializationError:
            return super().encode(data)

    def decode(self, data: bytes) -> dict[str, Any]:
        """Return the fields of a message.

        Args:
            data: As `encode` returns them.

        Raises:
            DecodeError: If it is not JSON.
        """
        try:
            message: dict[str, Any] = from_json(data)
        except ValueError:
            return super().decode(data)
        return message

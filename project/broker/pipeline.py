"""One connection that one thread keeps, for several commands in one write.

Redis goes on with the commands behind a blocking one the moment it ends, so a worker that waits gets the message
itself with the reply that wakes it, and not only the news that there is one.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import redis

from project.broker.addresses import lost_connections

Command = tuple[Any, ...]


class PipelinedConnection:
    """A connection of a client's pool, taken at first use and after each loss.

    Args:
        client: Whose address, time-outs and credentials it uses.
    """

    def __init__(self, client: Any) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None

    def send(self, *commands: Command) -> list[Any]:
        """Send commands together and return their replies; see `attempt`.

        Raises:
            redis.OutOfMemoryError: If Redis refused one of them because it is full.
            ConnectionClosed: If Redis did not answer in time; what it did of the commands is unknown.
        """
        return self.stream([commands])

    def stream(self, batches: Iterable[Iterable[Command]]) -> list[Any]:
        """Send batches as they are made, while Redis works on those before, and return all replies.

        Raises:
            redis.OutOfMemoryError: If Redis refused one of the commands because it is full.
            ConnectionClosed: If Redis did not answer in time; what it did of the commands is unknown.
        """
        replies = self.attempt(batches)
        for reply in replies:
            if isinstance(reply, redis.OutOfMemoryError):
                raise reply
        return replies

    def attempt(self, batches: Iterable[Iterable[Command]]) -> list[Any]:
        """Send batches as `stream` does; a command that a full Redis refused has that error as its reply.

        Raises:
            ConnectionClosed: If Redis did not answer in time; what it did of the commands is unknown.
        """
        with lost_connections():
            self._connection = connection = self._connection or self._pool.get_connection()
            try:
                sent = 0
                for batch in map(list, batches):
                    connection.send_packed_command(connection.pack_commands(batch))
                    sent += len(batch)
                return [_read(connection) for _ in range(sent)]
            except BaseException:
                self._hang_up()
                raise

    def renew(self) -> None:
        """Hang up if Redis has, or has said something unasked, since the last command; the next one connects again."""
        if self._connection is not None:
            try:
                is_spoilt = self._connection.can_read()
            except (redis.RedisError, OSError):
                is_spoilt = True
            if is_spoilt:
                self._connection.disconnect()

    def close(self) -> None:
        """Give the connection back to the pool."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(connection)

    def __del__(self) -> None:
        """Give the connection back where an interrupt kept its thread from doing so: a pool has a hundred, no more."""
        with suppress(Exception):  # at the end of the process nothing may be left of the pool
            self._hang_up()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._pool.release(connection)


def _read(connection: Any) -> Any:
    """Return the next reply, even if it is that Redis is full: those to the commands behind it are still to be read."""
    try:
        return connection.read_response()
    except redis.OutOfMemoryError as error:
        return error

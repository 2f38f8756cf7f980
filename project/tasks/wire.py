"""One connection that one thread keeps, for several commands in one write.

Redis goes on with the commands behind a blocking one the moment it ends, so a worker that waits gets the message
itself with the reply that wakes it, and not only the news that there is one.
"""

from typing import Any

from project.tasks.addresses import lost_connections


class Wire:
    """A connection of a client's pool, taken at first use and after each loss.

    Args:
        client: Whose address, time-outs and credentials it uses.
    """

    def __init__(self, client: Any) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None

    def send(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Send commands together and give their replies.

        Raises:
            ConnectionClosed: If Redis did not answer in time; what it did of the commands is unknown.
        """
        with lost_connections():
            connection = self._connection or self._pool.get_connection()
            try:
                connection.send_packed_command(connection.pack_commands(commands))
                replies = [connection.read_response() for _ in commands]
            except BaseException:
                self._connection = None
                connection.disconnect()
                self._pool.release(connection)
                raise
            self._connection = connection
            return replies

    def close(self) -> None:
        """Give the connection back to the pool."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(connection)

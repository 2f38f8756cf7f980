"""The scripts in `lua/`, by name: what everything in this process that talks to Redis about messages shares."""

import hashlib
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis
from dramatiq.errors import ConnectionClosed

from project.broker.addresses import lost_connections
from project.broker.shared_connections import SharedConnections

TEXTS = {path.stem: path.read_text() for path in Path(__file__).with_name("lua").glob("*.lua")}
#: By which name Redis knows each of them.
_DIGESTS = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in TEXTS.items()}
#: Others take a broker for dead whose heartbeat is eight times as old, so that a few may be lost on the way.
HEARTBEAT_EVERY = timedelta(seconds=1)


class Scripts:
    """Runs the scripts for one broker; each gets the namespace as its only key.

    Args:
        client: A redis-py client, as `project.broker.addresses.connect` makes it.
        namespace: What all keys begin with.
        broker_id: Under which name this process holds messages.
    """

    def __init__(self, client: Any, *, namespace: str, broker_id: str) -> None:
        self.client = client
        self.namespace = namespace
        self.broker_id = broker_id
        self.connections = SharedConnections(client)
        self._heartbeat_at = float("-inf")

    def load(self) -> None:
        """Give Redis the scripts; a restarted or promoted one has none.

        Raises:
            ConnectionClosed: If Redis did not answer in time.
        """
        with lost_connections():
            for text in TEXTS.values():
                self.client.script_load(text)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script and return its reply, whose texts are bytes.

        Raises:
            ConnectionClosed: If Redis did not answer in time; nothing is sent a second time.
        """
        command = self.command(script, *arguments)
        try:
            return self.connections.send(command)[0]
        except ConnectionClosed as lost:
            if not isinstance(lost.__cause__, redis.exceptions.NoScriptError):
                raise
        # Redis was started or promoted since, and did nothing.
        self.load()
        return self.connections.send(command)[0]

    def command(self, script: str, *arguments: Any) -> tuple[Any, ...]:
        """Return the command that runs a script, for a pipelined connection, once `load` was called."""
        return ("EVALSHA", _DIGESTS[script], 1, self.namespace, *arguments)

    def beat(self) -> None:
        """Tell Redis that this process is alive, at most once in `HEARTBEAT_EVERY`.

        Raises:
            ConnectionClosed: If Redis did not answer in time.
        """
        if time.monotonic() - self._heartbeat_at >= HEARTBEAT_EVERY.total_seconds():
            self.run("beat", self.broker_id)
            self._heartbeat_at = time.monotonic()

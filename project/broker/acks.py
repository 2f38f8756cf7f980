"""What became of messages, collected for a moment and told to Redis together."""

import logging
import threading
import time
from collections import defaultdict
from itertools import islice

import redis
from dramatiq.errors import BrokerConnectionError

from project.broker.scripts import Scripts

logger = logging.getLogger(__name__)

LONGEST_WAIT = 0.002
LARGEST_BATCH = 200
PAUSE = 0.5

ACK, NACK = "ack", "nack"
Successor = tuple[str, str, bytes]
Outcome = str | Successor


class Acks:
    """Sends outcomes in batches from one thread, and again until Redis has taken them.

    Every outcome may be sent twice without harm, so a lost reply is no problem; a crash runs again what was not
    yet sent.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._changed = threading.Condition()
        self._unsent: dict[tuple[str, str], Outcome] = {}
        self._thread: threading.Thread | None = None

    def add(self, queue_name: str, redis_message_id: str, outcome: Outcome) -> None:
        """Note what became of a message.

        Args:
            queue_name: The queue it was fetched from.
            redis_message_id: Its id there.
            outcome: ``ACK``, ``NACK`` or the queue, id and payload of the message that takes its place.
        """
        with self._changed:
            self._unsent[queue_name, redis_message_id] = outcome
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="acks", daemon=True)
                self._thread.start()
            if len(self._unsent) in (1, LARGEST_BATCH):
                self._changed.notify_all()

    def unsent(self, queue_name: str) -> set[str]:
        """Give the ids of a queue's messages whose outcome Redis may not have yet."""
        with self._changed:
            return {redis_message_id for queue, redis_message_id in self._unsent if queue == queue_name}

    def flush(self, *, timeout: float) -> bool:
        """Wait until Redis has everything.

        Args:
            timeout: Seconds after which to give up; what is left runs again elsewhere.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._unsent, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unsent)
                self._changed.wait_for(lambda: len(self._unsent) >= LARGEST_BATCH, LONGEST_WAIT)
                batch = dict(islice(self._unsent.items(), LARGEST_BATCH))
            try:
                self._send(batch)
            except (BrokerConnectionError, redis.RedisError) as error:
                logger.warning("%d outcomes not sent to Redis, will be sent again: %s", len(batch), error)
                time.sleep(PAUSE)

    def _send(self, batch: dict[tuple[str, str], Outcome]) -> None:
        settled: dict[str, dict[str, list[str]]] = defaultdict(lambda: {ACK: [], NACK: []})
        for (queue_name, redis_message_id), outcome in batch.items():
            if isinstance(outcome, str):
                settled[queue_name][outcome].append(redis_message_id)
            else:
                self._scripts.run("move", self._scripts.broker_id, queue_name, redis_message_id, *outcome)
        for queue_name, ids in settled.items():
            self._scripts.run("settle", self._scripts.broker_id, queue_name, len(ids[ACK]), *ids[ACK], *ids[NACK])
        with self._changed:
            for key in batch:
                del self._unsent[key]
            self._changed.notify_all()

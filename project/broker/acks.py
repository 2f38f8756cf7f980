"""What became of messages, collected for a moment and told to Redis together."""

import threading
import time
from collections import defaultdict
from datetime import timedelta
from itertools import islice

import redis
import structlog
from dramatiq.errors import BrokerConnectionError

from project.broker.scripts import Scripts

log = structlog.get_logger(__name__)

#: Other tasks end meanwhile, and one round trip does for all; a crash in this time runs them again.
ACKS_GATHERED_FOR = timedelta(milliseconds=2)
#: Messages told of at once, and no more: one script holds up everybody who uses Redis.
MOST_ACKS_TOGETHER = 200
#: Between two tries while Redis is away; a connection that is refused costs next to nothing.
ACKS_TRIED_AGAIN_AFTER = timedelta(milliseconds=500)

ACK, NACK = "ack", "nack"
#: The queue, id and payload of the message that takes the place of another.
Successor = tuple[str, str, bytes]
Outcome = str | Successor


class Acks:
    """Sends what became of messages, in batches from one thread, and again until Redis has taken it.

    Nothing is harmed if it is sent twice, so a lost reply is no problem. What was not yet sent when the process
    crashes runs again.

    Args:
        scripts: Of the broker.
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
            outcome: `ACK`, `NACK` or the message that takes its place.
        """
        with self._changed:
            self._unsent[queue_name, redis_message_id] = outcome
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="acks", daemon=True)
                self._thread.start()
            if len(self._unsent) in (1, MOST_ACKS_TOGETHER):
                self._changed.notify_all()

    def unsent(self, queue_name: str) -> set[str]:
        """Return the Redis ids of a queue's messages of which Redis may not know yet what became of them."""
        with self._changed:
            return {redis_message_id for queue, redis_message_id in self._unsent if queue == queue_name}

    def flush(self, *, timeout: float) -> bool:
        """Wait until Redis has everything, and return whether it has.

        Args:
            timeout: Seconds after which to give up; what is left runs again elsewhere.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._unsent, timeout)

    def _run(self) -> None:
        while True:
            batch = self._gather()
            try:
                self._send(batch)
            except (BrokerConnectionError, redis.RedisError) as error:
                log.warning(
                    "acks_not_sent", count=len(batch), error=str(error), cure="none needed: they are sent again"
                )
                time.sleep(ACKS_TRIED_AGAIN_AFTER.total_seconds())

    def _gather(self) -> dict[tuple[str, str], Outcome]:
        with self._changed:
            self._changed.wait_for(lambda: self._unsent)
            enough, seconds = MOST_ACKS_TOGETHER, ACKS_GATHERED_FOR.total_seconds()
            self._changed.wait_for(lambda: len(self._unsent) >= enough, seconds)
            return dict(islice(self._unsent.items(), enough))

    def _send(self, batch: dict[tuple[str, str], Outcome]) -> None:
        run, broker_id = self._scripts.run, self._scripts.broker_id
        settled: dict[str, dict[str, list[str]]] = defaultdict(lambda: {ACK: [], NACK: []})
        for (queue_name, redis_message_id), outcome in batch.items():
            if isinstance(outcome, str):
                settled[queue_name][outcome].append(redis_message_id)
            else:
                run("move", broker_id, queue_name, redis_message_id, *outcome)
        for queue_name, ids in settled.items():
            run("settle", broker_id, queue_name, len(ids[ACK]), *ids[ACK], *ids[NACK])
        with self._changed:
            for key in batch:
                del self._unsent[key]
            self._changed.notify_all()

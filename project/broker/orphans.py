"""Give back what dead brokers hold, and drop dead letters that nobody came for."""

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from project.broker.addresses import lost_connections
from project.broker.stranded import known_queues

if TYPE_CHECKING:
    from project.broker.broker import ServiceBroker

logger = logging.getLogger(__name__)

LONGEST_GAP = 3.5
SEEN_SILENT_FOR = 4.0
DEAD_AFTER = 8.0
FORGET_EVERY = 60.0

Heartbeat = tuple[bytes, float]


@dataclass
class Sightings:
    """Since when each heartbeat has been seen unchanged, on this process's own clock."""

    last_pass: float = float("-inf")
    first_seen: dict[Heartbeat, float] = field(default_factory=dict)
    forgot_at: float = float("-inf")

    def note(self, heartbeats: list[Heartbeat], now: float) -> None:
        """Note the heartbeats of one pass; after a gap between passes nothing seen before counts.

        While Redis itself was away nobody could send a heartbeat, and that must not look like a death.
        """
        known = self.first_seen if now - self.last_pass <= LONGEST_GAP else {}
        self.first_seen = {beat: known.get(beat, now) for beat in heartbeats}
        self.last_pass = now

    def silent(self, now: float) -> list[Heartbeat]:
        """Give the heartbeats that have been seen unchanged for long enough."""
        return [beat for beat, since in self.first_seen.items() if now - since >= SEEN_SILENT_FOR]


def rescue(broker: "ServiceBroker") -> int:
    """Give the messages of dead brokers back to their queues; call it every two seconds, from any process.

    A broker is dead if its last heartbeat is eight seconds old on Redis's clock and this process has watched it
    stay the same for four. One script moves a dead broker's messages, and only if its heartbeat is still the
    same, so any number of processes may do this at once.

    Returns:
        How many messages went back.

    Raises:
        ConnectionClosed: If Redis did not answer in time.
    """
    with lost_connections():
        heartbeats = broker.client.zrange(f"{broker.namespace}:__heartbeats__", 0, -1, withscores=True)
        seconds, _ = broker.client.time()
    now, sightings = time.monotonic(), broker.sightings
    sightings.note([(broker_id, score) for broker_id, score in heartbeats], now)
    dead = [beat for beat in sightings.silent(now) if seconds - beat[1] / 1000 >= DEAD_AFTER]
    if now - sightings.forgot_at >= FORGET_EVERY:
        sightings.forgot_at = now
        broker.run_script("forget", broker.dead_message_ttl, *broker.get_declared_queues())
    return sum(_rescue_from(broker, beat) for beat in dead)


def _rescue_from(broker: "ServiceBroker", heartbeat: Heartbeat) -> int:
    broker_id, score = heartbeat
    rescued = int(broker.run_script("rescue", broker_id, int(score), *known_queues(broker)))
    if rescued > 0:
        logger.warning("Broker %s died: gave %d of its messages back", broker_id.decode(), rescued)
    return max(0, rescued)

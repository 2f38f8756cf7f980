"""Give back what dead brokers hold, and drop dead letters that nobody came for."""

import logging
import time
from dataclasses import dataclass, field

from project.broker.addresses import lost_connections
from project.broker.scripts import Scripts
from project.broker.stranded import known_queues

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


def rescue(scripts: Scripts, sightings: Sightings, *, declared: set[str]) -> int:
    """Give the messages of dead brokers back to their queues; call it every two seconds, from any process.

    A broker is dead if its last heartbeat is eight seconds old on Redis's clock and this process has watched it
    stay the same for four. One script moves a dead broker's messages, and only if its heartbeat is still the
    same, so any number of processes may do this at once.

    Args:
        scripts: Of this process's broker.
        sightings: What this process has seen of the others so far.
        declared: The queues, and delay queues, that this process knows; those that were ever consumed count too.

    Returns:
        How many messages went back.

    Raises:
        ConnectionClosed: If Redis did not answer in time.
    """
    with lost_connections():
        heartbeats = scripts.client.zrange(f"{scripts.namespace}:__heartbeats__", 0, -1, withscores=True)
        seconds, _ = scripts.client.time()
    now = time.monotonic()
    sightings.note([(broker_id, score) for broker_id, score in heartbeats], now)
    dead = [beat for beat in sightings.silent(now) if seconds - beat[1] / 1000 >= DEAD_AFTER]
    return sum(_rescue_from(scripts, beat, declared) for beat in dead)


def forget_dead_letters(scripts: Scripts, sightings: Sightings, *, queues: set[str], ttl: int) -> None:
    """Drop dead letters that nobody came for, some of them once a minute.

    Args:
        scripts: Of this process's broker.
        sightings: Where it is noted when this was done last.
        queues: Whose dead letters are looked through.
        ttl: Milliseconds for which each is kept.

    Raises:
        ConnectionClosed: If Redis did not answer in time.
    """
    now = time.monotonic()
    if now - sightings.forgot_at >= FORGET_EVERY:
        sightings.forgot_at = now
        scripts.run("forget", ttl, *queues)


def _rescue_from(scripts: Scripts, heartbeat: Heartbeat, declared: set[str]) -> int:
    broker_id, score = heartbeat
    rescued = int(scripts.run("rescue", broker_id, int(score), *known_queues(scripts, declared=declared)))
    if rescued > 0:
        logger.warning("Broker %s died: gave %d of its messages back", broker_id.decode(), rescued)
    return max(0, rescued)

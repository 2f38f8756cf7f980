"""Gives back what dead brokers hold, and drops dead letters that nobody came for."""

import time
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from project.broker.addresses import lost_connections
from project.broker.scripts import Scripts
from project.broker.stranded import known_queues

log = structlog.get_logger(__name__)

#: A broker's last heartbeat is at least so old, by Redis's clock, when it is taken for dead: eight were missed. Its
#: messages are to be back in their queues within 15 seconds.
BROKER_DEAD_AFTER = timedelta(seconds=8)
#: And this process has seen for so long that it stays the same: a clock that jumped, or Redis's absence, is no death.
SEEN_SILENT_FOR = timedelta(seconds=4)
#: Passes that are further apart than this, though they come every two seconds, prove nothing about what was in between.
LONGEST_GAP_BETWEEN_PASSES = timedelta(seconds=3.5)
#: Dead letters are kept for days, so when they go matters little.
DEAD_LETTERS_FORGOTTEN_EVERY = timedelta(minutes=1)

#: A broker's id, and when it was alive last, in milliseconds by Redis's clock.
Heartbeat = tuple[bytes, float]


@dataclass
class Sightings:
    """Since when each heartbeat has been seen unchanged, in seconds on this process's own monotonic clock."""

    last_pass: float = float("-inf")
    first_seen: dict[Heartbeat, float] = field(default_factory=dict)
    forgot_at: float = float("-inf")

    def note(self, heartbeats: list[Heartbeat], now: float) -> None:
        """Note the heartbeats of one pass; after a gap between passes nothing seen before counts.

        While Redis itself was away nobody could send a heartbeat, and that must not look like a death.
        """
        known = self.first_seen if now - self.last_pass <= LONGEST_GAP_BETWEEN_PASSES.total_seconds() else {}
        self.first_seen = {beat: known.get(beat, now) for beat in heartbeats}
        self.last_pass = now

    def silent(self, now: float) -> list[Heartbeat]:
        """Return the heartbeats that have been seen unchanged for long enough."""
        return [beat for beat, since in self.first_seen.items() if now - since >= SEEN_SILENT_FOR.total_seconds()]


def rescue(scripts: Scripts, sightings: Sightings, *, declared: set[str]) -> int:
    """Give the messages of dead brokers back to their queues; call it every two seconds, from any process.

    A broker is dead if its last heartbeat is `BROKER_DEAD_AFTER` old on Redis's clock and this process has watched it
    stay the same for `SEEN_SILENT_FOR`. One script moves a dead broker's messages, and only if its heartbeat is still
    the same, so any number of processes may do this at once.

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
    dead = [beat for beat in sightings.silent(now) if seconds - beat[1] / 1000 >= BROKER_DEAD_AFTER.total_seconds()]
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
    if now - sightings.forgot_at >= DEAD_LETTERS_FORGOTTEN_EVERY.total_seconds():
        sightings.forgot_at = now
        scripts.run("forget", ttl, *queues)


def _rescue_from(scripts: Scripts, heartbeat: Heartbeat, declared: set[str]) -> int:
    broker_id, score = heartbeat
    rescued = int(scripts.run("rescue", broker_id, int(score), *known_queues(scripts, declared=declared)))
    if rescued > 0:
        log.warning("messages_of_dead_broker_given_back", broker=broker_id.decode(), count=rescued)
    return max(0, rescued)

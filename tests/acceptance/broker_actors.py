"""Actors for the broker's acceptance tests; what they did is in a file, which no broker can lose.

Run by ``python -m dramatiq tests.acceptance.broker_actors``; with ``BROKER=stock`` on Dramatiq's own broker.
"""

import os
import time
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries

from project.tasks.broker import ServiceBroker
from project.tasks.drain import Watchdog
from project.tasks.retries import SafeRetries


def make_broker(url: str) -> Any:
    if os.environ.get("BROKER") == "stock":
        return RedisBroker(url=url, middleware=[Retries()])
    return ServiceBroker(url=url, middleware=[SafeRetries(), Watchdog()])


broker = make_broker(os.environ["ACTORS_URL"]) if "ACTORS_URL" in os.environ else dramatiq.get_broker()
RECORD = Path(os.environ.get("ACTORS_RECORD", os.devnull))


def record(*words: object) -> None:
    """Append one line: who, when and what."""
    with RECORD.open("a") as lines:
        lines.write(" ".join(map(str, (os.getpid(), time.time(), *words))) + "\n")


def note(label: str) -> None:
    """Record the label."""
    record("noted", label)


def nap(label: str, seconds: float) -> None:
    """Sleep between two records."""
    record("began", label)
    time.sleep(seconds)
    record("ended", label)


def fail_when(path: str, label: str) -> None:
    """Wait for a file and raise; do nothing in later attempts."""
    if any(line.split()[2:] == ["began", label] for line in RECORD.read_text().splitlines()):
        return record("retried", label)
    record("began", label)
    while not Path(path).exists():
        time.sleep(0.02)
    raise RuntimeError(label)


def declare(on: Any) -> dict[str, dramatiq.Actor[..., None]]:
    """Declare the actors on a broker."""
    backoff = {"min_backoff": 100, "max_backoff": 200, "max_retries": 3}
    return {
        name: dramatiq.actor(fn, actor_name=name, broker=on, queue_name=queue, **backoff)
        for name, fn, queue in [
            ("note", note, "fast"),
            ("nap", nap, "slow"),
            ("fail_when", fail_when, "fast"),
        ]
    }


if "ACTORS_URL" in os.environ:
    dramatiq.set_broker(broker)
    declare(broker)

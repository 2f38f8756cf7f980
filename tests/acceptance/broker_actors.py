"""Actors for the broker's acceptance tests; what they did is in a file, which no broker can lose.

Run by `python -m dramatiq tests.acceptance.broker_actors`; with `BROKER=stock` on Dramatiq's own broker.
"""

import os
import time
from pathlib import Path

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries

from project.broker.broker import ServiceBroker
from project.broker.watchdog import Watchdog
from project.tasks.running.retries import SafeRetries

URL = os.environ["ACTORS_URL"]
RECORD = Path(os.environ["ACTORS_RECORD"])

if os.environ.get("BROKER") == "stock":
    dramatiq.set_broker(RedisBroker(url=URL, middleware=[Retries()]))
else:
    dramatiq.set_broker(ServiceBroker(url=URL, middleware=[SafeRetries(), Watchdog()]))


def record(*words: object) -> None:
    with RECORD.open("a") as lines:
        lines.write(" ".join(map(str, (os.getpid(), time.time(), *words))) + "\n")


@dramatiq.actor(queue_name="fast")
def note(label: str) -> None:
    record("noted", label)


@dramatiq.actor(queue_name="slow")
def nap(label: str, seconds: float) -> None:
    record("began", label)
    time.sleep(seconds)
    record("ended", label)


@dramatiq.actor(queue_name="fast", min_backoff=100, max_backoff=200)
def fail_when(path: str, label: str) -> None:
    """Wait for a file and raise; a later attempt only records."""
    if f" began {label}\n" in RECORD.read_text():
        return record("retried", label)
    record("began", label)
    while not Path(path).exists():
        time.sleep(0.02)
    raise RuntimeError(label)


@dramatiq.actor(queue_name="fast")
def kill_thread() -> None:
    """End the worker thread the way a stray time limit does: with an error where nobody expects one."""
    dramatiq.get_broker().work.task_done = lambda: 1 / 0  # type: ignore[attr-defined]

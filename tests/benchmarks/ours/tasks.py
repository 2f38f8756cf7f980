"""The measured tasks, as an application declares them."""

import time

from project.tasks import task
from tests.benchmarks.systems import stamps

_HOLD_SECONDS = 300


@task("bench.noop", durable=False)
def noop(*, data: str) -> None:
    """Do nothing."""


@task("bench.stamp", durable=False)
def stamp(*, sent: float) -> None:
    """Say how long the message took."""
    stamps.stamp(sent)


@task("bench.durable")
def durable(*, data: str) -> None:
    """Do nothing, in a row."""


@task("bench.durable_stamp")
def durable_stamp(*, sent: float) -> None:
    """Say how long the message took."""
    stamps.stamp(sent)


@task("bench.durable_async")
async def durable_async(*, data: str) -> None:
    """Do nothing, in a row and on the process's event loop."""


@task("bench.durable_async_stamp")
async def durable_async_stamp(*, sent: float) -> None:
    """Say how long the message took."""
    stamps.stamp(sent)


@task("bench.nap")
async def nap() -> None:
    """Wait for a second."""
    await stamps.nap()


@task("bench.hold")
def hold() -> None:
    """Keep a thread busy for longer than anything is measured beside it."""
    time.sleep(_HOLD_SECONDS)

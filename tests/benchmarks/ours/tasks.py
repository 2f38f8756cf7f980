"""The measured tasks, as an application declares them."""

from project.tasks import task
from tests.benchmarks.systems import stamps


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

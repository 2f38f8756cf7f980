"""What waits for the current transaction to commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from project.tasks.models import TaskRun
from project.tasks.sending.insert import NewRun


@dataclass
class Publication:
    """Runs that are published together once their transaction has committed."""

    runs: list[NewRun | TaskRun]
    publish: Callable[[Sequence[NewRun | TaskRun]], None]

    def __call__(self) -> None:
        """Publish them."""
        self.publish(self.runs)


def on_commit(runs: Sequence[NewRun | TaskRun], publish: Callable[[Sequence[NewRun | TaskRun]], None]) -> None:
    """Call ``publish`` with the runs after the commit.

    Sends in one transaction share one publication, so that a loop of sends is one pipeline.
    """
    registered = connection.run_on_commit
    last = registered[-1] if registered else None
    if last and isinstance(last[1], Publication) and last[0] == set(connection.savepoint_ids):
        last[1].runs.extend(runs)
    else:
        # Robust: the transaction is committed, so the sender must not be told that it failed.
        transaction.on_commit(Publication(list(runs), publish), robust=True)


def awaits_commit(run_id: UUID) -> bool:
    """Tell whether a run was sent in the current transaction, so that no worker can see it yet."""
    publications = [hook[1] for hook in connection.run_on_commit if isinstance(hook[1], Publication)]
    return any(run.id == run_id for publication in publications for run in publication.runs)

"""Claims what a consumer has fetched, all of it with one statement, before worker threads get it.

One statement for a hundred runs costs the database and this process a fraction of what a hundred would, and no thread
waits for it. What is claimed here starts within some fifty milliseconds (`project.broker.work_queue` fetches no more),
or is given up: the run is then as it was before, as if nobody had claimed it.

Left to the thread that starts them are runs of tasks with a limit, which may not hold a slot or a start while they
wait; last chances, of which a process claims one at a time; and tasks that this checkout does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog
from django.db import Error as DatabaseError

from project.broker.delivery import Delivery
from project.broker.dramatiq_internals import message_of
from project.tasks.declaration import find_declaration
from project.tasks.running.claim import claim_from, leave_alone
from project.tasks.running.claim_statement import unclaim
from project.tasks.running.database import own_connection
from project.tasks.running.group_commit import group_commit
from project.tasks.running.held import hold, let_go
from project.tasks.sending.last_chances import is_for_last_chances

log = structlog.get_logger(__name__)


class ClaimsAhead:
    """Who claims for the broker of a process."""

    def claim(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Claim the runs of messages; return the messages that are to be handed to threads.

        Where the database raises something, a message is handed out without a claim: its thread tries again.
        """
        ahead = [delivery for delivery in deliveries if _is_claimed_ahead(delivery)]
        held = [delivery for delivery in ahead if hold(delivery.message_id, by=delivery)]
        spare = {id(delivery) for delivery in ahead} - {id(delivery) for delivery in held}
        spare |= {id(delivery) for delivery in _claim(held)}
        return [delivery for delivery in deliveries if id(delivery) not in spare]

    def give_up(self, deliveries: Sequence[Delivery]) -> None:
        """Let others have the runs of messages that no thread has started."""
        claims = [delivery.claim for delivery in deliveries]
        group_commit.give_up(claims)
        try:
            with own_connection():
                unclaim(claims)
        except DatabaseError as error:
            cure = "none needed: this process or another one finds them, and frees them"
            log.warning("claims_not_given_up", runs=len(claims), error=str(error).strip(), cure=cure)
        for delivery in deliveries:
            delivery.claim = None
            let_go(delivery.message_id)


def _is_claimed_ahead(delivery: Delivery) -> bool:
    message = message_of(delivery)
    if "attempt" not in message.options or is_for_last_chances(message.queue_name):
        return False
    task = find_declaration(message.actor_name)
    return task is not None and not task.policy.is_limited


def _claim(deliveries: Sequence[Delivery]) -> Iterator[Delivery]:
    """Attach claims to messages; return those that may not start."""
    if not deliveries:
        return
    requests = group_commit.claim_all([message_of(delivery) for delivery in deliveries])
    for delivery, request in zip(deliveries, requests, strict=True):
        if request.row is not None:
            delivery.claim = claim_from(request.row)
            continue
        let_go(delivery.message_id)
        if request.error is None and leave_alone(request.message):
            yield delivery

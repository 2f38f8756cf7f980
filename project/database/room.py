"""Connections enough for a worker process: threads that wait for one another must never wait for a connection."""

from __future__ import annotations

import structlog

from project.database.access import this_connection

log = structlog.get_logger(__name__)

#: Threads beside the work that keep or need a connection: the beat, the claims, the duties, the broker's, the ledger's,
#: the main thread, a burial and a dead letter.
BESIDE = 8


def make_room(*, threads: int) -> None:
    """Let the process open as many connections as it has threads that use the database.

    A worker thread keeps its connection while it waits for another thread to write what it claims; if that one
    waited for a connection in turn, neither would ever go on, and the process would be presumed dead.

    Args:
        threads: How many runs it executes at once.
    """
    pool, needed = this_connection().own_pool, threads + BESIDE
    if pool.max_size < needed:
        log.warning("database_pool_enlarged", cure=f"set DATABASE_POOL_SIZE to {needed}", was=pool.max_size)
        pool.max_size = needed

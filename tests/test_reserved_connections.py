"""Connections enough for a worker: its pool is never too small for its threads."""

from collections.abc import Iterator

import pytest

from project.database.access import this_connection
from project.database.pool import Pool
from project.tasks.running.database import THREADS_BESIDE_THE_WORK, reserve_connections


@pytest.fixture
def pool(db: None) -> Iterator[Pool]:
    pool = this_connection().own_pool
    size = pool.max_size
    yield pool
    pool.max_size = size


def test_a_pool_that_is_too_small_for_the_threads_is_enlarged(pool: Pool) -> None:
    pool.max_size = 4
    reserve_connections(threads=4)
    assert pool.max_size == 4 + THREADS_BESIDE_THE_WORK


def test_a_pool_that_is_large_enough_is_left_alone(pool: Pool) -> None:
    pool.max_size = 40
    reserve_connections(threads=4)
    assert pool.max_size == 40

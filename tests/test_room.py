"""Room for a worker's connections."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg_pool import ConnectionPool

from project.tasks.room import BESIDE, make_room


@pytest.fixture
def pool(db: None) -> Iterator["ConnectionPool[Any]"]:
    connection = connections["default"]
    assert isinstance(connection, DatabaseWrapper)
    pool = connection.pool
    assert pool is not None
    sizes = pool.min_size, pool.max_size
    yield pool
    pool.resize(*sizes)


def test_a_pool_that_is_too_small_for_the_threads_is_enlarged(pool: "ConnectionPool[Any]") -> None:
    pool.resize(1, 4)
    make_room(threads=4)
    assert pool.max_size == 4 + BESIDE


def test_a_pool_that_is_large_enough_is_left_alone(pool: "ConnectionPool[Any]") -> None:
    pool.resize(1, 40)
    make_room(threads=4)
    assert pool.max_size == 40

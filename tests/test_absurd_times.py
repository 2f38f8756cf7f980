"""Limits, delays and backoffs that are larger than anybody needs, or than a database or a date can hold."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection
from dramatiq.worker import Worker

from project.tasks.errors import RetryLater, TaskDefinitionError
from project.tasks.policy import Policy
from project.tasks.running.isolation import lent_connection
from tests import tasks_for_tests as tasks

FOREVER = timedelta.max
YEAR = timedelta(days=365)


def test_a_task_with_a_time_limit_of_a_month_runs(worker: Worker) -> None:
    assert tasks.patient.send().result(timeout=10) == "done"


@pytest.mark.parametrize("limit", [timedelta(days=30), FOREVER])
@pytest.mark.django_db(transaction=True)
def test_the_database_bounds_statements_as_far_as_it_can_count(limit: timedelta) -> None:
    connection.close()
    with lent_connection(limit=limit), connection.cursor() as cursor:
        cursor.execute("SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'")
        assert cursor.fetchone() == (2**31 - 1,)


def test_a_retry_is_at_most_a_year_away() -> None:
    policy = Policy(max_retries=99, min_backoff=timedelta(days=1), max_backoff=FOREVER)
    assert (policy.retry_in(ValueError(), failures=40) or FOREVER) <= YEAR
    assert policy.postpone_for(RetryLater(after=FOREVER), times=1, so_far=timedelta(0)) == YEAR


@pytest.mark.parametrize(
    "options",
    [
        {"delay": FOREVER},
        {"delay": timedelta.min},
        {"expires": FOREVER},
        # A year that exists where it is said, and not in UTC.
        {"eta": datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-14)))},
        {"expires": datetime(9999, 12, 31, tzinfo=UTC)},
    ],
)
def test_a_send_refuses_a_time_that_nobody_will_see(options: dict[str, timedelta]) -> None:
    with pytest.raises(ValueError, match="100 years"):
        tasks.add.using(**options)  # type: ignore[arg-type]


def test_a_policy_refuses_such_a_time_when_it_is_declared() -> None:
    with pytest.raises(TaskDefinitionError, match="100 years"):
        Policy(expires=FOREVER)

"""When a failed run is tried again, and which runs are unique."""

from datetime import timedelta

import pytest
from django.utils import timezone

from project.tasks.errors import PermanentError, RetryLater, TaskDefinitionError, TimeLimitExceeded
from project.tasks.policy import Policy

MINUTE = timedelta(minutes=1)


def waits(policy: Policy, *, failures: int) -> list[timedelta]:
    now = timezone.now()
    moments = [policy.retry_at(ValueError(), failures=failures) for _ in range(300)]
    return sorted(moment - now for moment in moments if moment is not None)


def test_backoff_doubles_is_capped_and_spread_over_its_whole_range() -> None:
    policy = Policy(max_retries=99, min_backoff=MINUTE, max_backoff=8 * MINUTE)
    for failures, ceiling in ((1, 1), (2, 2), (3, 4), (4, 8), (50, 8)):
        spread = waits(policy, failures=failures)
        assert spread[-1] <= ceiling * MINUTE + timedelta(seconds=1)
        assert spread[-1] > ceiling * MINUTE * 0.8
        assert spread[0] < ceiling * MINUTE * 0.2


def test_retries_end_after_max_retries() -> None:
    assert Policy(max_retries=2).retry_at(ValueError(), failures=2) is not None
    assert Policy(max_retries=2).retry_at(ValueError(), failures=3) is None


def test_an_error_may_carry_its_own_delay() -> None:
    retry_at = Policy().retry_at(RetryLater(after=timedelta(days=2)), failures=1)
    assert retry_at is not None
    assert timedelta(days=1, hours=23) < retry_at - timezone.now() <= timedelta(days=2)


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [(KeyError(), True), (OSError(), False), (FileNotFoundError(), False), (PermanentError(), False)],
)
def test_only_errors_that_the_task_names_are_retried(error: Exception, *, is_retried: bool) -> None:
    policy = Policy(retry_on=(LookupError, OSError), dont_retry_on=(OSError,))
    assert (policy.retry_at(error, failures=1) is not None) is is_retried


def test_a_used_up_time_limit_is_worth_a_retry() -> None:
    assert Policy(retry_on=()).retry_at(TimeLimitExceeded(), failures=1) is not None


def test_a_unique_key_depends_on_the_arguments_and_not_on_their_order() -> None:
    policy = Policy(unique=True)
    assert policy.unique_key("t", {"a": 1, "b": 2}) == policy.unique_key("t", {"b": 2, "a": 1})
    assert policy.unique_key("t", {"a": 1}) != policy.unique_key("t", {"a": 2})
    assert Policy(unique=lambda user_id: f"user {user_id}").unique_key("t", {"user_id": 7}) == "t:user 7"


def test_a_backoff_that_cannot_be_is_refused() -> None:
    with pytest.raises(TaskDefinitionError, match="min_backoff"):
        Policy(min_backoff=2 * MINUTE, max_backoff=MINUTE)
